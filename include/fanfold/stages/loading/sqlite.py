"""SQLite: one file, one writer; times are kept as ISO 8601 text in UTC, which sorts by time."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fanfold.errors import Inconsistent
from fanfold.stages.loading.tables import ORDINAL, STAGING, is_text, listed, quoted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from fanfold.stages.loading.tables import Table


class Sqlite:
    """An open sqlite3 connection as a place to load into."""

    differs = "IS NOT"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[None]:
        """Commit what the block does, or nothing of it; nothing in any case unless ``keep``.

        The write lock is taken at the start: a transaction that reads first and then finds another
        writer could only give up.
        """
        if self._connection.in_transaction:
            self._connection.commit()
        if not self._connection.in_transaction:  # it always is with autocommit=False (3.12)
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._end(keep=False)
            raise
        self._end(keep=keep)

    def _end(self, *, keep: bool) -> None:
        # SQLite ends a transaction by itself when the disk is full.
        if not self._connection.in_transaction:
            return
        if keep:
            self._connection.commit()
        else:
            self._connection.rollback()
        # With autocommit=True (3.12) these two do nothing; with False they begin a new one.
        if getattr(self._connection, "autocommit", False) is True:
            self._connection.execute("COMMIT" if keep else "ROLLBACK")

    def execute(self, statement: str) -> int:
        """Run a statement and return how many rows it touched."""
        with closing(self._cursor()) as cursor:
            return cursor.execute(statement).rowcount

    def scalar(self, statement: str) -> Any:
        """Return the first value of a query."""
        with closing(self._cursor()) as cursor:
            row = cursor.execute(statement).fetchone()
        return None if row is None else row[0]

    def _cursor(self) -> sqlite3.Cursor:
        cursor = self._connection.cursor()
        cursor.row_factory = None  # whatever the connection makes of rows, these are tuples
        return cursor

    def lock(self, name: str) -> None:
        """Do nothing: the transaction holds the only write lock."""

    def columns(self, name: str) -> frozenset[str]:
        """Return the columns of a table; none where there is no such table."""
        with closing(self._cursor()) as cursor:
            rows = cursor.execute("SELECT name FROM pragma_table_info(?)", [name]).fetchall()
        return frozenset(row[0] for row in rows)

    def stage(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        """Fill the staging table, and return its rows."""
        names = table.schema.names
        columns = ", ".join(f"{quoted(field.name)} {self.type_of(field)}" for field in table.schema)
        self.execute(f"DROP TABLE IF EXISTS temp.{STAGING}")
        self.execute(f"CREATE TEMPORARY TABLE {STAGING} ({ORDINAL} INTEGER PRIMARY KEY, {columns})")
        marks = ", ".join("?" * len(names))
        insert = f"INSERT INTO {STAGING} ({listed(names)}) VALUES ({marks})"  # noqa: S608 - quoted
        rows = 0
        for batch in batches:
            values = [_values(column) for column in batch.columns]
            self._connection.executemany(insert, zip(*values, strict=True))
            rows += batch.num_rows
        return rows

    def type_of(self, field: pa.Field) -> str:
        """Return the type of a column.

        Raises:
            Inconsistent: There is none for it.
        """
        kind = field.type
        if is_text(kind) or pa.types.is_date(kind):
            return "TEXT"
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return "TEXT"
        if pa.types.is_floating(kind):
            return "REAL"
        if pa.types.is_boolean(kind) or (pa.types.is_integer(kind) and kind != pa.uint64()):
            return "INTEGER"
        raise Inconsistent(f"Column {field.name!r} has the type {kind}, which load cannot store.")


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        # Without a zone the cast writes what is in the column, which is UTC, as
        # 2026-01-01 00:00:00.000000. strftime would write the same in ten times the time.
        text = column.cast(pa.timestamp("us")).cast(pa.string())
        text = pc.replace_substring(text, " ", "T")
        column = pc.binary_join_element_wise(text, "Z", "")
    elif pa.types.is_date(column.type):
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values
