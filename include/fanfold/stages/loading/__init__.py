"""Load: merge the dataset into a table, by key, in one transaction.

Loading twice changes nothing; an older run never overwrites newer rows; a load that fails leaves
the database as it was. What it needs is an open connection of psycopg 3 or sqlite3.

    user_profiles   a row a user: the dataset's columns; key source, user_id
    fanfold_runs    a row a run: its counts and times; key dag_id, run_id
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.errors import BadConfiguration, Inconsistent
from fanfold.stages.loading.faults import database_errors
from fanfold.stages.loading.merging import merge, probe
from fanfold.stages.loading.postgres import Postgres
from fanfold.stages.loading.runs import RUNS, run_row
from fanfold.stages.loading.sqlite import Sqlite
from fanfold.stages.loading.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.model import Manifest
    from fanfold.stages.loading.merging import Database

__all__ = [
    "USER_PROFILES",
    "LoadResult",
    "TargetTable",
    "check_database",
    "database_errors",
    "load",
]

_BATCH_ROWS = 2_500
"""Rows in memory at once: about 5 MB of user profiles as Python's values."""
_WAY_OUT = "clear `consolidate` with its downstream tasks."


@dataclass(frozen=True, slots=True)
class TargetTable:
    """Where the rows of a dataset go.

    Attributes:
        name: The table; it is created where it is missing.
        key: The columns that identify a row.
        version: The column that tells which of two rows is newer.
    """

    name: str
    key: tuple[str, ...]
    version: str


USER_PROFILES = TargetTable("user_profiles", ("source", "user_id"), "as_of")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did.

    Attributes:
        table: The table.
        rows_in_dataset: Rows that came.
        duplicates: Rows left out because a later one has the same key.
        written: Rows inserted or updated; the others were the same, or newer, already.
        rows_in_table: Rows in the table afterwards.
    """

    table: str
    rows_in_dataset: int
    duplicates: int
    written: int
    rows_in_table: int


def load(
    connection: Any,
    dataset: Path,
    manifest: Manifest,
    *,
    into: TargetTable = USER_PROFILES,
    connection_id: str = "warehouse_default",
) -> LoadResult:
    """Merge a dataset and its run into the database, in one transaction.

    Args:
        connection: An open connection of psycopg 3 or sqlite3; a transaction that is open on it is
            committed. The caller closes it.
        dataset: The dataset's Parquet file, as the manifest names it.
        manifest: What the run produced.
        into: The table, its key and the column that orders versions of a row.
        connection_id: The Airflow connection, for messages.

    Raises:
        Inconsistent: File and manifest contradict each other, or the table refuses the rows.
        BadConfiguration: Rights, file or existing tables are wrong.
        SinkUnavailable: The database is away, full or locked.
    """
    with _open_dataset(dataset, manifest) as file:
        table = Table(into.name, file.schema_arrow, into.key, into.version)
        with database_errors(connection_id):
            database = _database(connection, connection_id)
            with database.transaction():
                merged = merge(database, table, _batches(file, dataset))
                merge(database, RUNS, [run_row(manifest, merged.staged)])
    return LoadResult(
        table=into.name,
        rows_in_dataset=merged.staged,
        duplicates=merged.staged - merged.distinct,
        written=merged.written,
        rows_in_table=merged.total,
    )


def check_database(
    connection: Any,
    *,
    into: TargetTable = USER_PROFILES,
    connection_id: str = "warehouse_default",
) -> None:
    """Make sure that a load could write, in a transaction that is rolled back.

    Tables that exist have to take rows; where one is missing, creating one has to be allowed.

    Raises:
        BadConfiguration: Rights, file or existing tables are wrong; the message names the
            connection and what to change.
        SinkUnavailable: The database is away, full or locked.
    """
    with database_errors(connection_id):
        database = _database(connection, connection_id)
        with database.transaction(keep=False):
            probe(database, {into.name: into.key, RUNS.name: RUNS.key})


def _database(connection: Any, connection_id: str) -> Database:
    if isinstance(connection, sqlite3.Connection):
        return Sqlite(connection)
    if isinstance(connection, psycopg.Connection):
        return Postgres(connection)
    raise BadConfiguration(
        f"{connection_id} gives a {type(connection).__module__}.{type(connection).__qualname__}; "
        "load needs PostgreSQL through psycopg 3, or SQLite."
    )


def _open_dataset(dataset: Path, manifest: Manifest) -> pq.ParquetFile:
    """Open the dataset where it is the one that the manifest describes."""
    rows = {entry.key: entry.rows for entry in manifest.files}.get(dataset.name)
    try:
        # Buffering ahead would hold all row groups at once.
        file = pq.ParquetFile(dataset, pre_buffer=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise Inconsistent(f"{dataset} cannot be read ({error}); {_WAY_OUT}") from error
    if file.metadata.num_rows != rows:
        found = file.metadata.num_rows
        file.close()
        raise Inconsistent(f"{dataset} has {found} rows, its manifest says {rows}; {_WAY_OUT}")
    return file


def _batches(file: pq.ParquetFile, dataset: Path) -> Iterator[pa.RecordBatch]:
    try:
        # Threads keep memory of their own, 40 MB in all.
        yield from file.iter_batches(_BATCH_ROWS, use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise Inconsistent(f"{dataset} is damaged ({error}); {_WAY_OUT}") from error
