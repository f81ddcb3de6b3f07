"""``fanfold_runs``: one row per run, with its counts and times."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlalchemy as sa

from fanfold.errors import BadConfiguration
from fanfold.stages.loading.tables import TargetTable

if TYPE_CHECKING:
    from fanfold.model import Manifest

RUNS = TargetTable("fanfold_runs", ("dag_id", "run_id"), "finished_at", ignored=("loaded_at",))
"""``loaded_at`` is when this outcome of the run was first loaded."""

_TEXT, _COUNT, _TIME = pa.string(), pa.int64(), pa.timestamp("us", "UTC")
RUNS_SCHEMA = pa.schema(
    {
        "dag_id": _TEXT,
        "run_id": _TEXT,
        "logical_date": _TIME,
        "status": _TEXT,
        "planned": _COUNT,
        "ok": _COUNT,
        "missing": _COUNT,
        "invalid": _COUNT,
        "failed": _COUNT,
        "requests": _COUNT,
        "rows": _COUNT,
        "rejected": _COUNT,
        "code": _TEXT,
        "generation": _COUNT,
        "table_name": _TEXT,
        "started_at": _TIME,
        "finished_at": _TIME,
        "loaded_at": _TIME,
    }
)


def run_row(manifest: Manifest, table: str) -> pa.RecordBatch:
    """Return the row of a run whose dataset is in a table."""
    row = {
        "dag_id": manifest.dag_id,
        "run_id": manifest.run_id,
        "logical_date": datetime.fromisoformat(manifest.logical_date),
        "status": manifest.status.value,
        **asdict(manifest.counts),
        "requests": manifest.requests,
        "rows": manifest.rows,
        "rejected": manifest.rejected,
        "code": manifest.code,
        "generation": manifest.generation or None,
        "table_name": table,
        "started_at": datetime.fromisoformat(manifest.started_at),
        "finished_at": datetime.fromisoformat(manifest.finished_at),
        "loaded_at": datetime.now(UTC),
    }
    return pa.RecordBatch.from_pylist([row], schema=RUNS_SCHEMA)


def loaded_generation(connection: sa.Connection, manifest: Manifest) -> int:
    """Return the generation of the dataset that the tables of a manifest's DAG have; 0 for none.

    Generation 1 starts a new count: the bucket had no dataset. Generations before it do not matter,
    and none does to a manifest of generation 1 that is later than all.
    """
    if not _has_column(connection, "generation"):
        return 0
    columns = RUNS.define(RUNS_SCHEMA).c
    loaded = sa.and_(columns.dag_id == manifest.dag_id, columns.generation.is_not(None))
    latest = sa.func.max(columns.finished_at)
    start = sa.select(latest).where(loaded, columns.generation == 1).scalar_subquery()
    counted = sa.or_(start.is_(None), columns.finished_at >= start)
    generation, finished = connection.execute(
        sa.select(sa.func.max(columns.generation), latest).where(loaded, counted)
    ).one()
    if generation is None:
        return 0
    # SQLite has text.
    restarted = manifest.moments[1] >= datetime.fromisoformat(str(finished))
    return 0 if manifest.generation == 1 and restarted else int(generation)


def check_owner(connection: sa.Connection, table: str, dag_id: str, *, whole: bool) -> None:
    """Raise if a load would delete rows of another DAG, or that one would delete those of this load.

    Args:
        connection: An open connection.
        table: Table of the dataset.
        dag_id: The DAG that loads it.
        whole: Whether it makes the table equal to its dataset (mode ``merge``).

    Raises:
        BadConfiguration: With both DAGs and the way out.
    """
    if not _has_column(connection, "table_name"):
        return
    columns = RUNS.define(RUNS_SCHEMA).c
    others = sa.and_(columns.table_name == table, columns.dag_id != dag_id)
    if not whole:
        others = sa.and_(others, columns.generation.is_not(None))
    found = sa.select(columns.dag_id).where(others).order_by(columns.finished_at.desc()).limit(1)
    if owner := connection.execute(found).scalar():
        raise BadConfiguration(
            f"Table {table!r} has the rows of DAG {owner!r}, and with mode='merge' it would have only those "
            f"of one DAG. Set table_prefix in one of the pipelines; if {owner!r} is gone, delete its rows "
            f"in {RUNS.name}."
        )


def _has_column(connection: sa.Connection, name: str) -> bool:
    inspector = sa.inspect(connection)
    return inspector.has_table(RUNS.name) and name in {
        column["name"] for column in inspector.get_columns(RUNS.name)
    }
