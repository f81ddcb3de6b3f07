"""The Assets of a DAG: what ``publish`` and ``load`` announce, for the schedules of other DAGs.

| Asset | an event when | starts |
|---|---|---|
| ``<dag_id>`` | ``latest.json`` has moved | DAGs with ``schedule=[Asset.ref(name="<dag_id>")]`` |
| ``<dag_id>_by_date`` | a run of the DAG's own list is published | those with a ``PartitionedAssetTimetable`` |
| ``<dag_id>_tables``, an alias | tables are loaded: one event for each, with its URI | those with the alias, or the table's URI |
| ``<dag_id>_loaded_by_date`` | a run of the DAG's own list is loaded | those with a ``PartitionedAssetTimetable`` |

They are two kinds because Airflow starts a DAG with a ``PartitionedAssetTimetable`` only by events with a partition
key, and any other only by events without one. The key is the date of the run's prefix in the bucket, as
``2026-03-01T00:00:00``: what Airflow's temporal mappers read by default.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from fanfold.airflow import settings
from fanfold.airflow.latest import updates_latest
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context


def published(dag_id: str) -> tuple[Asset, Asset]:
    """Return the Asset of a DAG's latest dataset, and that of its datasets by date."""
    # As in the DAG files, which Airflow parses also where nothing is set.
    bucket = os.environ.get("FANFOLD_BUCKET", "").strip() or "fanfold"
    folder = f"s3://{bucket}/{safe_name(dag_id)}"
    return Asset(dag_id, f"{folder}/latest.json"), Asset(f"{dag_id}_by_date", folder)


def loaded(dag_id: str) -> tuple[AssetAlias, Asset]:
    """Return the alias of a DAG's tables, and the Asset of their loads by date."""
    return AssetAlias(f"{dag_id}_tables"), Asset(f"{dag_id}_loaded_by_date")


def table(connection: Any, name: str) -> Asset:
    """Return the Asset of a table.

    Args:
        connection: The open connection of its database, psycopg 3 or sqlite3.
        name: Its name.
    """
    if isinstance(connection, sqlite3.Connection):
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        return Asset(f"file://{path}?table={name}")
    from psycopg.rows import tuple_row

    with connection.cursor(row_factory=tuple_row) as cursor:
        (schema,) = cursor.execute("SELECT current_schema()").fetchone()
    at = connection.info
    host = "localhost" if at.host.startswith("/") else f"[{at.host}]" if ":" in at.host else at.host
    return Asset(f"postgres://{host}:{at.port}/{at.dbname}/{schema}/{name}")


def announce(context: Context, outlet: Asset, extra: Mapping[str, Any]) -> None:
    """Give the event of an Asset by date its partition; send none if the run has items of its own.

    Such a run is not the data of its date.
    """
    if updates_latest(context) != "yes":
        withhold(context, outlet)
        return
    event = context["outlet_events"][outlet]
    event.extra = dict(extra)
    date = settings.identity(context).logical_date
    event.add_partitions(f"{date:%Y-%m-%d}T00:00:00")


def withhold(context: Context, outlet: Asset) -> None:
    """Send no event of an Asset: Airflow sends one for each outlet that a task has at its end."""
    context["task"].outlets = [each for each in context["task"].outlets if each != outlet]
