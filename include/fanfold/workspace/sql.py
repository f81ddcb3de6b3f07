"""DuckDB over the tables of a run: folds, charts and comparisons.

A connection reads the files that it is given, and nothing else: no other file, no network, no
extension. One thread, so that the same rows give the same order and, with floating point, the same
sums.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import duckdb

from fanfold.errors import BadPipeline, WorkspaceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MEMORY = "256MB"
"""Memory limit of a query; what does not fit is written to the spill folder."""


@contextlib.contextmanager
def open_tables(tables: Mapping[str, Path], spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection with a view of each Parquet file.

    Args:
        tables: Parquet files by the name that they have in SQL.
        spill: Folder for temporary files; created if necessary.
    """
    spill.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET threads = 1")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        connection.execute(f"SET temp_directory = {_text(spill)}")
        folders = sorted({str(path.parent) for path in tables.values()} | {str(spill)})
        connection.execute(f"SET allowed_directories = [{', '.join(map(_text, folders))}]")
        connection.execute("SET enable_external_access = false")
        for name, path in tables.items():
            add_table(connection, name, path)
        connection.execute("SET lock_configuration = true")
        yield connection


def add_table(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    """Add a view of a Parquet file in one of the connection's folders."""
    connection.execute(f"CREATE VIEW {_name(name)} AS FROM read_parquet({_text(path)})")


@contextlib.contextmanager
def query_errors(what: str) -> Iterator[None]:
    """Translate the errors of a query; ``what`` names it: ``fold 'revenue_by_day'``.

    Raises:
        BadPipeline: The query is wrong: syntax, a column, a type, a value, or too much memory.
        WorkspaceUnavailable: The spill folder cannot be written.
    """
    try:
        yield
    except duckdb.IOException as error:
        raise WorkspaceUnavailable(f"{what}: {error}") from error
    except duckdb.Error as error:
        raise BadPipeline(f"{what}: {error}") from error


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
