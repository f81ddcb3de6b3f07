"""What a table is, and the SQL that both databases share.

Names of tables and columns are quoted wherever they stand; values never become part of a
statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from fanfold.errors import Inconsistent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_NAME_BYTES = 63
"""PostgreSQL cuts longer names, so that two could become one."""
STAGING = "fanfold_staging"
ORDINAL = "fanfold_ordinal"
"""Column of the staging table that counts its rows in the order in which they came."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that rows are merged into.

    Attributes:
        name: Its name.
        schema: Its columns, in Arrow's types.
        key: The columns that identify a row.
        version: The column that tells which of two rows with one key is newer.
        stamps: Columns that do not make a row a different one, such as the time of loading.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    version: str
    stamps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.name, *self.schema.names):
            quoted(name)
        absent = {*self.key, self.version, *self.stamps} - set(self.schema.names)
        if absent or not self.key:
            raise Inconsistent(
                f"Table {self.name!r} needs the columns {sorted(absent)}, which the dataset lacks: "
                "key, version and dataset do not belong together."
            )

    @property
    def required(self) -> frozenset[str]:
        """The columns that are never null.

        The others may be null although the contract says otherwise: a later dataset may have
        columns more or fewer than the one that created the table.
        """
        return frozenset({*self.key, self.version})


def quoted(name: str) -> str:
    """Return a name as SQL takes it, whatever it holds.

    Raises:
        Inconsistent: No database takes it.
    """
    if not name or "\x00" in name or len(name.encode()) > _NAME_BYTES:
        raise Inconsistent(
            f"{name[:80]!r} cannot name a table or a column: it takes 1 to {_NAME_BYTES} bytes "
            "without NUL."
        )
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    """Return quoted names with commas between them."""
    return ", ".join(quoted(name) for name in names)


def create_sql(table: Table, type_of: Callable[[pa.Field], str]) -> str:
    """Return the statement that creates a table unless it is there."""
    columns = [
        f"{quoted(field.name)} {type_of(field)}{' NOT NULL' * (field.name in table.required)}"
        for field in table.schema
    ]
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(table.name)} "
        f"({', '.join(columns)}, PRIMARY KEY ({listed(table.key)}))"
    )


def add_column_sql(table: Table, field: pa.Field, type_of: Callable[[pa.Field], str]) -> str:
    """Return the statement that adds a column to a table that has rows."""
    return f"ALTER TABLE {quoted(table.name)} ADD COLUMN {quoted(field.name)} {type_of(field)}"


def merge_sql(table: Table, differs: str) -> str:
    """Return the statement that merges the staging table into a table.

    Of several staged rows with one key the last one counts. A row of the table is replaced where
    the staged one is at least as new and differs from it.

    Args:
        table: The table.
        differs: The operator that compares two values and takes nulls as equal.
    """
    columns = table.schema.names
    others = [name for name in columns if name not in table.key]
    compared = [quoted(name) for name in others if name not in table.stamps]
    version = quoted(table.version)
    changes = " OR ".join(f"target.{name} {differs} excluded.{name}" for name in compared)
    sets = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in others)
    update = (
        f"DO UPDATE SET {sets} WHERE excluded.{version} >= target.{version} AND ({changes})"
        if compared
        else "DO NOTHING"
    )
    return (
        f"INSERT INTO {quoted(table.name)} AS target ({listed(columns)}) "  # noqa: S608 - quoted
        f"SELECT {listed(columns)} FROM {STAGING} WHERE {ORDINAL} IN "
        f"(SELECT max({ORDINAL}) FROM {STAGING} GROUP BY {listed(table.key)}) "
        f"ON CONFLICT ({listed(table.key)}) {update}"
    )


def distinct_sql(table: Table) -> str:
    """Return the statement that counts the keys in the staging table."""
    keys = listed(table.key)
    return f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {STAGING}) AS keys"  # noqa: S608 - quoted


def plain_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches whose texts are plain strings without NUL, which PostgreSQL cannot hold."""
    for batch in batches:
        columns = []
        for column in batch.columns:
            text = column.cast(pa.string()) if is_text(column.type) else column
            columns.append(pc.replace_substring(text, "\x00", "") if is_text(text.type) else text)
        yield pa.record_batch(columns, names=batch.schema.names)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text, as it is or as categories."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))
