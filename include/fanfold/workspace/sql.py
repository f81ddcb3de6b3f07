"""DuckDB over the tables of a run: folds, charts, and what the run page computes.

A connection reads the files that it is given, and nothing else: no other folder, no network, no
extension, no variable of Python. One thread, so that the same rows give the same order and, with
floating point, the same sums.
"""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING

import duckdb

from fanfold.errors import BadPipeline, WorkspaceUnavailable
from fanfold.workspace.files import TEMPORARY_PREFIX, disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

MEMORY = "160MB"
"""Memory limit of a query; what does not fit is written to the spill folder. Some operators exceed
it: a ``GROUP BY`` of 4,000,000 groups took 240 MB."""
_NO_DISK = ("IO Error:", "max_temp_directory_size")
"""In the message of an error that is due to the disk: unreadable, or full of temporary files."""


@contextlib.contextmanager
def open_tables(
    tables: Mapping[str, Path],
    spill: Path,
    *,
    memory: str | None = None,
    folders: Iterable[Path] = (),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection with a view of each Parquet file.

    Args:
        tables: Parquet files by the name that they have in SQL.
        spill: Folder for temporary files; created if necessary. Each connection has its own folder
            in it and removes that.
        memory: Memory limit; default :data:`MEMORY`.
        folders: Further folders that queries may read.

    Raises:
        WorkspaceUnavailable: The spill folder cannot be written.
    """
    with disk_errors(spill):
        spill.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=spill)
    with temporary as own, duckdb.connect(":memory:") as connection:
        connection.execute("SET threads = 1")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{memory or MEMORY}'")
        connection.execute(f"SET temp_directory = {text(own)}")
        allowed = {own, *map(str, folders), *(str(path.parent) for path in tables.values())}
        connection.execute(f"SET allowed_directories = [{', '.join(map(text, sorted(allowed)))}]")
        connection.execute("SET enable_external_access = false")
        for name, path in tables.items():
            add_table(connection, name, path)
        connection.execute("SET lock_configuration = true")
        yield connection


def add_table(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    """Add a view of a Parquet file in one of the connection's folders."""
    connection.execute(f"CREATE VIEW {quoted(name)} AS FROM read_parquet({text(path)})")


def record_batches(
    relation: duckdb.DuckDBPyRelation, rows: int, what: str
) -> Iterator[pa.RecordBatch]:
    """Yield the result of a query in batches of up to ``rows`` rows; memory is bounded by these.

    Raises:
        BadPipeline, WorkspaceUnavailable: As :func:`query_errors`.
    """
    with query_errors(what):
        yield from relation.to_arrow_reader(rows)


@contextlib.contextmanager
def query_errors(what: str) -> Iterator[None]:
    """Translate the errors of a query; ``what`` names it: ``Fold 'revenue_by_day'``.

    Raises:
        BadPipeline: The query is wrong: syntax, a column, a type, a value, or too much memory.
        WorkspaceUnavailable: The disk is full or a file cannot be read.
    """
    try:
        yield
    except (duckdb.Error, OSError) as error:
        # An error in the middle of a result comes through Arrow, as an OSError without a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        kind = WorkspaceUnavailable if any(sign in str(error) for sign in _NO_DISK) else BadPipeline
        raise kind(f"{what}: {error}") from error


def quoted(name: str) -> str:
    """Return a name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: object) -> str:
    """Return a value as a quoted text."""
    return "'" + str(value).replace("'", "''") + "'"
