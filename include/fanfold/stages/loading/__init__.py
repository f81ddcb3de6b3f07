"""Load: merge the dataset into a table by key, in one transaction.

Loading a dataset twice changes nothing; an older run never overwrites newer rows; a failed load
rolls back.

    user_profiles   one row per user: the dataset's columns; key source, user_id
    fanfold_runs    one row per run: its counts and times; key dag_id, run_id
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from fanfold.errors import BadConfiguration, Inconsistent
from fanfold.stages.loading.merging import LoadResult, merge, probe
from fanfold.stages.loading.runs import RUNS, RUNS_SCHEMA, run_row
from fanfold.stages.loading.sql_errors import database_errors
from fanfold.stages.loading.tables import TargetTable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.model import Manifest

__all__ = [
    "USER_PROFILES",
    "LoadResult",
    "TargetTable",
    "check_database",
    "database_errors",
    "load",
]

USER_PROFILES = TargetTable("user_profiles", ("source", "user_id"), "as_of")
_BATCH_ROWS = 2_500
"""Rows in memory at once: about 5 MB of user profiles as Python objects."""
_REBUILD = "clear `consolidate` with its downstream tasks."


def load(
    connection: Any,
    dataset: Path,
    manifest: Manifest,
    *,
    into: TargetTable = USER_PROFILES,
    connection_id: str = "warehouse_default",
) -> LoadResult:
    """Merge a dataset and the row of its run into the database, in one transaction.

    Args:
        connection: An open psycopg 3 or sqlite3 connection, sqlite3 with its default transaction
            control. A transaction that is open on it is committed. The caller closes it.
        dataset: The dataset's Parquet file, as named in the manifest.
        manifest: The manifest of the run.
        into: The target table.
        connection_id: The Airflow connection, for error messages.

    Raises:
        Inconsistent: File and manifest do not match, or the table rejects the rows.
        BadConfiguration: Permissions, file or existing tables are wrong.
        SinkUnavailable: The database is unavailable, out of space or locked.
    """
    with (
        _open_dataset(dataset, manifest) as file,
        _transaction(connection, connection_id) as opened,
    ):
        result = merge(opened, into, file.schema_arrow, _batches(file, dataset))
        merge(opened, RUNS, RUNS_SCHEMA, [run_row(manifest, result.rows_in_dataset)])
    return result


def check_database(
    connection: Any,
    *,
    into: TargetTable = USER_PROFILES,
    connection_id: str = "warehouse_default",
) -> None:
    """Check that a load could write, in a transaction that is rolled back.

    Raises:
        BadConfiguration: Permissions, file or existing tables are wrong; the message names the
            connection and what to change.
        SinkUnavailable: The database is unavailable, out of space or locked.
    """
    with _transaction(connection, connection_id) as opened:
        probe(opened, (into, RUNS))
        opened.rollback()


@contextmanager
def _transaction(connection: Any, connection_id: str) -> Iterator[sa.Connection]:
    """Open a transaction of SQLAlchemy on a driver's connection; an error rolls it back."""
    with database_errors(connection_id):
        engine = _engine(connection, connection_id)
        with engine.begin() as opened:
            if engine.dialect.name == "sqlite":
                # A deferred transaction fails if another writer commits after its first read.
                opened.exec_driver_sql("BEGIN IMMEDIATE")
            yield opened


def _engine(connection: Any, connection_id: str) -> sa.Engine:
    if isinstance(connection, psycopg.Connection):
        dialect, rows = "postgresql+psycopg", psycopg.rows.tuple_row
    elif isinstance(connection, sqlite3.Connection):
        dialect, rows = "sqlite", None
    else:
        kind = type(connection)
        raise BadConfiguration(
            f"{connection_id} gives a {kind.__module__}.{kind.__qualname__}; "
            "load needs PostgreSQL through psycopg 3, or SQLite."
        )
    connection.commit()
    # The Airflow connection's extra may have set these two.
    connection.row_factory = rows
    if dialect != "sqlite":
        connection.autocommit = False
    return sa.create_engine(
        f"{dialect}://", creator=lambda: connection, poolclass=sa.StaticPool, hide_parameters=True
    )


def _open_dataset(dataset: Path, manifest: Manifest) -> pq.ParquetFile:
    """Open the dataset and check its number of rows against the manifest."""
    rows = {entry.key: entry.rows for entry in manifest.files}.get(dataset.name)
    try:
        # Pre-buffering would hold all row groups in memory.
        file = pq.ParquetFile(dataset, pre_buffer=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise Inconsistent(f"{dataset} cannot be read ({error}); {_REBUILD}") from error
    if file.metadata.num_rows != rows:
        found = file.metadata.num_rows
        file.close()
        raise Inconsistent(f"{dataset} has {found} rows, its manifest says {rows}; {_REBUILD}")
    return file


def _batches(file: pq.ParquetFile, dataset: Path) -> Iterator[pa.RecordBatch]:
    try:
        # Threads would buffer about 40 MB.
        yield from file.iter_batches(_BATCH_ROWS, use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise Inconsistent(f"{dataset} is damaged ({error}); {_REBUILD}") from error
