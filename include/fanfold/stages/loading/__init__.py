"""Load: write the dataset and the folds of a run into their tables by key, in one transaction.

Loading a run twice changes nothing; an older run never overwrites newer rows, and counts those that it
did not write; a failed load changes no table.

    <dataset>, <fold>   one row per key: its columns, and as_of, the logical date of its run
    fanfold_runs        one row per run: its counts and times; key dag_id, run_id

In mode ``snapshot``, rows are merged: a row stays until a later run has its key, so a fold's table
keeps the days of earlier runs. If a run may have fewer keys than the one before (ranks, say), select
the latest: ``WHERE as_of = (SELECT max(as_of) FROM …)``.

In mode ``merge``, the tables are made equal to the dataset and the folds: rows that differ are written,
and all other rows are deleted, also those that another program wrote: the tables belong to the DAG. A run
whose dataset is older than the loaded one, by the ``generation`` of its manifest, changes nothing.

| Parquet | PostgreSQL | SQLite |
|---|---|---|
| decimal(p, s) | ``NUMERIC(p, s)`` | the exact digits as ``TEXT``: compare and sort by ``CAST(x AS REAL)``; ``BIGINT`` without decimal places |
| uint64 | ``NUMERIC(20)`` | ``BIGINT`` |
| date, time, timestamp | ``DATE``, ``TIME``, ``TIMESTAMP`` (with time zone) | ISO 8601 ``TEXT``, in UTC with ``Z`` if it has a time zone |
| list, struct, map | ``JSONB`` | JSON ``TEXT``; decimals in it are strings, NaN is null |
| float, double | ``DOUBLE PRECISION`` | ``DOUBLE``; NaN is NULL |
| binary | ``BYTEA`` | ``BLOB`` |

Integers that do not fit into 64 bits cannot be loaded into SQLite.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from fanfold.errors import BadConfiguration, Inconsistent
from fanfold.messages import ENGINE
from fanfold.stages.loading.checking import probe
from fanfold.stages.loading.merging import LoadResult, lock, merge, skipped
from fanfold.stages.loading.runs import (
    RUNS,
    RUNS_SCHEMA,
    check_owner,
    loaded_generation,
    run_row,
)
from fanfold.stages.loading.sql_errors import database_errors
from fanfold.stages.loading.tables import TargetTable, targets_of
from fanfold.workspace.rows import batches_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from fanfold.messages import Message
    from fanfold.model import Manifest

__all__ = [
    "LoadResult",
    "TargetTable",
    "check_database",
    "database_errors",
    "load",
    "targets_of",
]

_BATCH_ROWS = 2_500
"""Rows in memory at once: about 5 MB of rows with 24 columns as Python objects."""
_REBUILD = "clear `consolidate` with its downstream tasks."


def load(
    connection: Any,
    folder: Path,
    manifest: Manifest,
    targets: Sequence[TargetTable],
    connection_id: str,
) -> list[LoadResult]:
    """Write the dataset and folds of a run and its row into the database, in one transaction.

    Tables are locked in the order of their names, ``fanfold_runs`` last, so that concurrent loads
    never deadlock.

    Args:
        connection: An open psycopg 3 or sqlite3 connection, sqlite3 with its default transaction
            control. A transaction that is open on it is committed. The caller closes it.
        folder: Folder of the files that the manifest names.
        manifest: The manifest of the run.
        targets: The tables; the first one is that of the dataset.
        connection_id: The Airflow connection, for error messages.

    Returns:
        A result for each of ``targets``, in their order, and one for ``fanfold_runs`` if that has a newer
        row of the run; its ``warnings`` say what was not written.

    Raises:
        Inconsistent: A file and the manifest do not match, or a table rejects the rows.
        BadConfiguration: Permissions, file or existing tables are wrong, or these belong to another DAG.
        SinkUnavailable: The database is unavailable, out of space or locked.
    """
    results = {}
    whole = manifest.mode == "merge"
    with ExitStack() as stack:
        files = {
            target: stack.enter_context(
                _open_table(folder, manifest, target.rows_of or target.name)
            )
            for target in targets
        }
        opened = stack.enter_context(_transaction(connection, connection_id))
        ordered = sorted(targets, key=lambda target: target.name)
        names = [target.name for target in targets]
        with database_errors(connection_id, RUNS.name):
            check_owner(opened, names, manifest.dag_id, whole=whole)
        newer = _newer_generation(opened, ordered, manifest, connection_id) if whole else None
        for target in ordered:
            with database_errors(connection_id, target.name):
                file = files[target]
                if newer:
                    results[target] = skipped(opened, target, file.metadata.num_rows, newer)
                    continue
                results[target] = merge(
                    opened, target, file.schema_arrow, _batches(file, target), whole=whole
                )
        with database_errors(connection_id, RUNS.name):
            outdated = sum(result.outdated for result in results.values())
            row = merge(opened, RUNS, RUNS_SCHEMA, [run_row(manifest, names, outdated)])
    loaded = [results[target] for target in targets]
    # After the clock was set back, a run that was made again may have ended before its earlier row.
    return [*loaded, row] if row.outdated else loaded


def _newer_generation(
    connection: sa.Connection,
    targets: Sequence[TargetTable],
    manifest: Manifest,
    connection_id: str,
) -> Message | None:
    """Lock all tables; say that they have a newer generation than a manifest, or return None."""
    for target in targets:
        with database_errors(connection_id, target.name):
            lock(connection, target.name)
    with database_errors(connection_id, RUNS.name):
        loaded = loaded_generation(connection, manifest)
    if loaded <= manifest.generation:
        return None
    return ENGINE.message(
        "load.older", dag=manifest.dag_id, loaded=loaded, own=manifest.generation, runs=RUNS.name
    )


def check_database(  # noqa: PLR0913 - what a load depends on
    connection: Any,
    targets: Sequence[TargetTable],
    connection_id: str,
    *,
    mode: str = "snapshot",
    dag_id: str = "",
    schemas: Mapping[str, pa.Schema] = MappingProxyType({}),
    as_of: datetime | None = None,
) -> None:
    """Check that a load of a DAG in a mode could write, in a transaction that is rolled back.

    Args:
        connection: As for :func:`load`.
        targets: The tables.
        connection_id: The Airflow connection, for error messages.
        mode: That of the pipeline.
        dag_id: The DAG.
        schemas: Schemas of dataset and folds by name, as far as they are known.
        as_of: Logical date of the run.

    Raises:
        BadConfiguration: Permissions, file or existing tables are wrong; the message names the
            connection and what to change.
        SinkUnavailable: The database is unavailable, out of space or locked.
    """
    with _transaction(connection, connection_id) as opened:
        if targets:
            with database_errors(connection_id, RUNS.name):
                names = [target.name for target in targets]
                check_owner(opened, names, dag_id, whole=mode == "merge")
        probe(opened, targets, schemas, connection_id, deletes=mode == "merge", as_of=as_of)
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
    # The Airflow connection's extra may have set these four, environment or role the last two.
    connection.row_factory = rows
    if dialect != "sqlite":
        connection.autocommit = False
        # pgbouncer gives each transaction another session, which has the statements of other programs.
        connection.prepare_threshold = None
        connection.execute("SET client_encoding TO 'UTF8'")
        connection.execute("SET DateStyle TO 'ISO'")  # psycopg reads no other
        connection.commit()
        if connection.info.encoding != "utf-8":  # as the server reports it
            raise BadConfiguration(
                f"{connection_id}: the session keeps the encoding {connection.info.encoding} after SET "
                "client_encoding TO 'UTF8', so text would be changed: connect without the proxy between."
            )
    return sa.create_engine(
        f"{dialect}://", creator=lambda: connection, poolclass=sa.StaticPool, hide_parameters=True
    )


def _open_table(folder: Path, manifest: Manifest, name: str) -> pq.ParquetFile:
    """Open the file of a dataset or fold and check its number of rows against the manifest."""
    try:
        entry = manifest.file_of(name)
    except KeyError:
        raise Inconsistent(f"The manifest has no Parquet file of {name!r}; {_REBUILD}") from None
    path = folder / entry.key
    try:
        # Pre-buffering would hold all row groups in memory.
        file = pq.ParquetFile(path, pre_buffer=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise Inconsistent(f"{path} cannot be read ({error}); {_REBUILD}") from error
    rows = file.metadata.num_rows
    if rows != entry.rows:
        file.close()
        raise Inconsistent(f"{path} has {rows} rows, its manifest says {entry.rows}; {_REBUILD}")
    return file


def _batches(file: pq.ParquetFile, target: TargetTable) -> Iterator[pa.RecordBatch]:
    try:
        # Threads would buffer about 40 MB.
        yield from batches_of(file, _BATCH_ROWS)
    except (OSError, pa.ArrowInvalid) as error:
        raise Inconsistent(
            f"The Parquet file of {target.name!r} is damaged ({error}); {_REBUILD}"
        ) from error
