"""Tables in SQLAlchemy, defined by the Arrow schema of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from fanfold.errors import BadPipeline, Inconsistent
from fanfold.pipeline import AS_OF

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.pipeline import Pipeline

_NAME_BYTES = 63
"""PostgreSQL truncates longer names, so two columns could become one."""
_OWN = "fanfold_"
"""Prefix of Fanfold's own tables."""


@dataclass(frozen=True, slots=True)
class TargetTable:
    """The table that the rows of a dataset or fold are merged into.

    Attributes:
        name: Table name; the table is created if it does not exist.
        key: Columns that identify a row.
        version: Column that orders the versions of a row.
        ignored: Columns that are not compared when rows are checked for changes.
        rows_of: Dataset or fold whose rows it has; empty: that of the same name.
    """

    name: str
    key: tuple[str, ...]
    version: str = AS_OF
    ignored: tuple[str, ...] = ()
    rows_of: str = ""

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that have a value in every row."""
        return *self.key, self.version

    def define(self, schema: pa.Schema) -> sa.Table:
        """Return the table with the columns of a schema.

        Only key and version are NOT NULL: a later dataset may lack any of the other columns.

        Raises:
            Inconsistent: A name or a type cannot be stored, or key or version is missing.
        """
        _check_name(self.name)
        absent = {*self.required, *self.ignored} - set(schema.names)
        if absent or not self.key:
            raise Inconsistent(
                f"Table {self.name!r} needs the columns {sorted(absent)}, which its rows lack: "
                "its key and version do not match the dataset or fold."
            )
        columns = [
            sa.Column(field.name, self._type_of(field), nullable=field.name not in self.required)
            for field in schema
        ]
        return sa.Table(self.name, sa.MetaData(), *columns, sa.PrimaryKeyConstraint(*self.key))

    def _type_of(self, field: pa.Field) -> sa.types.TypeEngine[Any]:
        _check_name(field.name)
        kind = plain_type(field.type)
        if pa.types.is_decimal(kind):
            exact = sa.Numeric(kind.precision, kind.scale)
            in_sqlite = sa.Text() if kind.scale else sa.BigInteger()
            return exact.with_variant(in_sqlite, "sqlite")
        for fits, sql_type in _TYPES:
            if fits(kind):
                return sql_type
        raise Inconsistent(
            f"Table {self.name!r}: column {field.name!r} has the type {field.type}, which load "
            "cannot store; cast it in the pipeline, for example to text."
        )


def targets_of(pipeline: Pipeline) -> tuple[TargetTable, ...]:
    """Return the tables of a pipeline: of its dataset, and of each fold.

    Raises:
        BadPipeline: A name is reserved.
    """
    keys = [(pipeline.dataset, pipeline.key), *((fold.name, fold.key) for fold in pipeline.folds)]
    prefix = pipeline.table_prefix
    targets = tuple(TargetTable(prefix + name, key, rows_of=name) for name, key in keys)
    for target in targets:
        if target.name.startswith(_OWN):
            raise BadPipeline(
                f"{pipeline.name}: {target.name!r} cannot be the name of a dataset or fold; names "
                f"with the prefix {_OWN!r} are reserved."
            )
    return targets


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values, which may be dictionary-encoded."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_binary(kind: pa.DataType) -> bool:
    """Whether a column holds bytes."""
    kinds = pa.types
    found = kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind)
    return bool(found)


def has_time_zone(kind: pa.DataType) -> bool:
    """Whether a column holds timestamps with a time zone."""
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def _in_sqlite(sql_type: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """Return a type that is text in SQLite, which has no type for it."""
    return sql_type.with_variant(sa.Text(), "sqlite")


_TYPES: tuple[tuple[Callable[[pa.DataType], bool], sa.types.TypeEngine[Any]], ...] = (
    (is_text, sa.Text()),
    (pa.types.is_boolean, sa.Boolean()),
    (pa.types.is_uint64, sa.Numeric(20).with_variant(sa.BigInteger(), "sqlite")),
    (pa.types.is_integer, sa.BigInteger()),
    (pa.types.is_floating, sa.Double()),
    (is_binary, sa.LargeBinary()),
    # ISO 8601 text sorts by time.
    (pa.types.is_date, _in_sqlite(sa.Date())),
    (pa.types.is_time, _in_sqlite(sa.Time())),
    (has_time_zone, _in_sqlite(sa.DateTime(timezone=True))),
    (pa.types.is_timestamp, _in_sqlite(sa.DateTime())),
    (pa.types.is_nested, _in_sqlite(JSONB())),
)


def changes_values(wanted: sa.types.TypeEngine[Any], present: Any, dialect: sa.Dialect) -> bool:
    """Whether an existing column would silently round or convert values of a wanted type."""
    kind: Any = wanted.dialect_impl(dialect)
    exact = dialect.name == "postgresql"  # types of SQLite are preferences
    if isinstance(kind, sa.String):
        padded = exact and isinstance(present, sa.CHAR)
        return padded or isinstance(present, (sa.Integer, sa.Numeric, sa.Float))
    if isinstance(kind, sa.Float):
        short = exact and isinstance(present, sa.REAL)
        return short or not isinstance(present, sa.Float)
    if isinstance(kind, sa.DateTime):
        return not isinstance(present, sa.DateTime) or present.timezone != kind.timezone
    if isinstance(kind, sa.Date):  # would be midnight in the time zone of the session
        return isinstance(present, sa.DateTime) and present.timezone
    if isinstance(kind, sa.Numeric) and kind.scale:
        decimal = isinstance(present, sa.Numeric)
        return not decimal or (present.precision is not None and present.scale < kind.scale)
    numbers = (sa.Integer, sa.Numeric, sa.Boolean)
    return isinstance(kind, numbers) and isinstance(present, (sa.Float, sa.String))


def _check_name(name: str) -> None:
    if not name or "\x00" in name or len(name.encode()) > _NAME_BYTES:
        raise Inconsistent(
            f"{name[:80]!r} is not a valid name for a table or column: use 1 to {_NAME_BYTES} "
            "bytes without NUL."
        )
