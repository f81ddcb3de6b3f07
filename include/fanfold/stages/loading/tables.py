"""Tables in SQLAlchemy, defined by the Arrow schema of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from fanfold.errors import Inconsistent

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME_BYTES = 63
"""PostgreSQL truncates longer names, so two columns could become one."""


@dataclass(frozen=True, slots=True)
class TargetTable:
    """The table that the rows of a dataset are merged into.

    Attributes:
        name: Table name; the table is created if it does not exist.
        key: Columns that identify a row.
        version: Column that orders the versions of a row.
        ignored: Columns that are not compared when rows are checked for changes.
    """

    name: str
    key: tuple[str, ...]
    version: str
    ignored: tuple[str, ...] = ()

    def define(self, schema: pa.Schema) -> sa.Table:
        """Return the table with the columns of a schema.

        Only key and version are NOT NULL: a later dataset may lack any of the other columns.

        Raises:
            Inconsistent: A name or a type cannot be stored, or key or version is missing.
        """
        _check_name(self.name)
        absent = {*self.key, self.version, *self.ignored} - set(schema.names)
        if absent or not self.key:
            raise Inconsistent(
                f"Table {self.name!r} needs the columns {sorted(absent)}, which the dataset lacks: "
                "its key and version do not match the dataset."
            )
        required = {*self.key, self.version}
        columns = [
            sa.Column(field.name, _type_of(field), nullable=field.name not in required)
            for field in schema
        ]
        return sa.Table(self.name, sa.MetaData(), *columns, sa.PrimaryKeyConstraint(*self.key))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text, plain or dictionary-encoded."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def has_time_zone(kind: pa.DataType) -> bool:
    """Whether a column holds timestamps with a time zone."""
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


_TYPES: tuple[tuple[Callable[[pa.DataType], bool], sa.types.TypeEngine[Any]], ...] = (
    (is_text, sa.Text()),
    (pa.types.is_boolean, sa.Boolean()),
    (pa.types.is_uint64, sa.Numeric(20)),
    (pa.types.is_integer, sa.BigInteger()),
    (pa.types.is_floating, sa.Double()),
    # SQLite has no types for these; ISO 8601 text in UTC sorts by time.
    (pa.types.is_date, sa.Date().with_variant(sa.Text(), "sqlite")),
    (has_time_zone, sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")),
)


def _type_of(field: pa.Field) -> sa.types.TypeEngine[Any]:
    _check_name(field.name)
    for fits, sql_type in _TYPES:
        if fits(field.type):
            return sql_type
    raise Inconsistent(f"Column {field.name!r} has the type {field.type}, which load cannot store.")


def _check_name(name: str) -> None:
    if not name or "\x00" in name or len(name.encode()) > _NAME_BYTES:
        raise Inconsistent(
            f"{name[:80]!r} is not a valid name for a table or column: use 1 to {_NAME_BYTES} "
            "bytes without NUL."
        )
