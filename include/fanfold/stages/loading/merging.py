"""How rows get into a table, whichever database it is: stage, make the table fit, merge."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from fanfold.stages.loading.tables import (
    STAGING,
    Table,
    add_column_sql,
    create_sql,
    distinct_sql,
    listed,
    merge_sql,
    plain_batches,
    quoted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager


class Database(Protocol):
    """What PostgreSQL and SQLite do differently."""

    differs: str
    """The operator that compares two values and takes nulls as equal."""

    def transaction(self, *, keep: bool = True) -> AbstractContextManager[None]:
        """Commit what the block does, or nothing of it; nothing in any case unless ``keep``."""

    def execute(self, statement: str) -> int:
        """Run a statement and return how many rows it touched."""

    def scalar(self, statement: str) -> Any:
        """Return the first value of a query."""

    def lock(self, name: str) -> None:
        """Wait until no other load works on a table; held until the transaction ends."""

    def columns(self, name: str) -> frozenset[str]:
        """Return the columns of a table; none where there is no such table."""

    def stage(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        """Fill a new staging table with the rows of a table, and return their number."""

    def type_of(self, field: pa.Field) -> str:
        """Return the database's type for a column."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did, in rows.

    Attributes:
        staged: Rows that came.
        distinct: Keys among them.
        written: Rows inserted or updated.
        total: Rows in the table afterwards.
    """

    staged: int
    distinct: int
    written: int
    total: int


def merge(database: Database, table: Table, batches: Iterable[pa.RecordBatch]) -> Merged:
    """Merge rows into a table, inside the caller's transaction.

    The table is created where it is missing, and gets the columns that it lacks.
    """
    staged = database.stage(table, plain_batches(batches))
    database.lock(table.name)
    present = database.columns(table.name)
    if not present:
        database.execute(create_sql(table, database.type_of))
    for field in table.schema:
        if present and field.name not in present:
            database.execute(add_column_sql(table, field, database.type_of))
    distinct = database.scalar(distinct_sql(table))
    written = database.execute(merge_sql(table, database.differs))
    total = database.scalar(f"SELECT count(*) FROM {quoted(table.name)}")  # noqa: S608 - quoted
    database.execute(f"DROP TABLE {STAGING}")
    return Merged(staged, distinct, written, total)


def probe(database: Database, keys: Mapping[str, tuple[str, ...]]) -> None:
    """Try everything that a load does, inside a transaction that the caller rolls back.

    Args:
        database: The database.
        keys: The tables of the load and their keys. Those that exist have to take rows; where one
            is missing, creating one has to be allowed.
    """
    schema = pa.schema([pa.field("probe", pa.string())])
    tried = Table(f"fanfold_preflight_{secrets.token_hex(8)}", schema, ("probe",), "probe")
    rows = [pa.record_batch([["probe"]], schema=schema)]
    if all(database.columns(name) for name in keys):
        database.stage(tried, rows)
    else:
        merge(database, tried, rows)
    for name, key in keys.items():
        if database.columns(name):
            # It touches no row, and still needs the rights and the key that a merge needs.
            database.execute(
                f"INSERT INTO {quoted(name)} ({listed(key)}) "  # noqa: S608 - names are quoted
                f"SELECT {listed(key)} FROM {quoted(name)} WHERE 1 = 0 ON CONFLICT "
                f"({listed(key)}) DO UPDATE SET {quoted(key[0])} = excluded.{quoted(key[0])}"
            )
