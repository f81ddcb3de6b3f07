"""Merge rows into a table of PostgreSQL or SQLite: stage them, add columns, upsert, delete."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateColumn

from fanfold.errors import BadConfiguration
from fanfold.stages.loading.runs import RUNS
from fanfold.stages.loading.sql_errors import database_errors
from fanfold.stages.loading.staging import ORDINAL, stage
from fanfold.stages.loading.tables import TargetTable, changes_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 80
"""Characters of a key's value in a message."""
_INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Row counts of a table's load.

    Attributes:
        table: The table.
        rows_in_dataset: Rows of the dataset or fold.
        duplicates: Rows skipped because a later row has the same key.
        written: Rows inserted or updated; the others were unchanged or older.
        rows_in_table: Rows in the table afterwards.
        repeated_key: The first key that several rows have, such as ``day='2026-03-01', n=1``.
        deleted: Rows deleted because their key is gone; only of a ``whole`` table.
        skipped: Why the table was left as it is, in a sentence; empty if it was loaded.
    """

    table: str
    rows_in_dataset: int
    duplicates: int
    written: int
    rows_in_table: int
    repeated_key: str = ""
    deleted: int = 0
    skipped: str = ""

    @property
    def summary(self) -> str:
        """The counts as a sentence, for the log."""
        deleted = f", {self.deleted} deleted because their key is gone" if self.deleted else ""
        return f"{self.table}: {self.written} of {self.rows_in_dataset} rows written{deleted}."

    @property
    def warning(self) -> str:
        """A sentence about what was skipped, for the log; empty if nothing was."""
        if not self.duplicates:
            return self.skipped
        return (
            f"Table {self.table!r}: {self.duplicates} of {self.rows_in_dataset} rows were not "
            f"loaded, because a later row has the same key, for example {self.repeated_key}. If "
            "they are different rows, add the columns that distinguish them to the key."
        )


def merge(
    connection: sa.Connection,
    target: TargetTable,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    *,
    whole: bool = False,
) -> LoadResult:
    """Merge rows into a table, inside the caller's transaction.

    A missing table is created; missing columns are added. If several rows have the same key, the
    last one is used. An existing row is updated if the staged row is at least as new and differs.
    If the rows are the ``whole`` table, it is updated if it differs, and rows of other keys are deleted.

    Raises:
        BadConfiguration: The table has columns that would change the values.
        Inconsistent: Rows without a key, or with values that cannot be stored.
    """
    table = target.define(schema)
    staging, staged = stage(connection, target, table, batches)
    lock(connection, table.name)
    _create_or_extend(connection, table)
    keys = [staging.c[name] for name in target.key]
    distinct = _count(connection, sa.select(*keys).distinct().subquery())
    upsert = _upsert(connection, target, table, staging, whole=whole)
    written = _affected(connection, upsert)
    rows = _count(connection, table)
    deleted = 0
    if whole and rows > distinct:
        deleted = _affected(connection, _delete(target, table, staging))
    result = LoadResult(
        table=target.name,
        rows_in_dataset=staged,
        duplicates=staged - distinct,
        written=written,
        rows_in_table=rows - deleted,
        repeated_key=_repeated_key(connection, staging, keys) if staged > distinct else "",
        deleted=deleted,
    )
    staging.drop(connection, checkfirst=False)
    return result


def probe(
    connection: sa.Connection,
    targets: Sequence[TargetTable],
    connection_id: str,
    *,
    deletes: bool,
) -> None:
    """Run every kind of statement that a load needs, in a transaction that the caller rolls back.

    Existing tables must accept rows and, if the load ``deletes`` rows, let it. If one is missing, the
    user must be permitted to create it.
    """
    schema = pa.schema([pa.field("probe", pa.string())])
    rows = [pa.record_batch([["probe"]], schema=schema)]
    trial = TargetTable(f"fanfold_preflight_{secrets.token_hex(8)}", ("probe",), "probe")
    inspector = sa.inspect(connection)
    existing = [target for target in targets if inspector.has_table(target.name)]
    if len(existing) == len(targets):
        stage(connection, trial, trial.define(schema), rows)
    else:
        merge(connection, trial, schema, rows)
    for target in existing:
        # It touches no row, but needs the permissions and the unique key that an upsert needs.
        table = sa.table(target.name, *map(sa.column, target.key))
        insert = _INSERT[connection.dialect.name](table)
        insert = insert.from_select(target.key, sa.select(table).where(sa.false()))
        changed = {target.key[0]: insert.excluded[target.key[0]]}
        upsert = insert.on_conflict_do_update(index_elements=target.key, set_=changed)
        with database_errors(connection_id, target.name):
            connection.execute(upsert)
            if deletes and target is not RUNS:
                connection.execute(sa.delete(table).where(sa.false()))


def skipped(connection: sa.Connection, target: TargetTable, rows: int, reason: str) -> LoadResult:
    """Return the result for a table that is left as it is; ``rows`` are those of the dataset or fold."""
    exists = sa.inspect(connection).has_table(target.name)
    present = _count(connection, sa.table(target.name)) if exists else 0
    return LoadResult(target.name, rows, 0, 0, present, skipped=reason)


def lock(connection: sa.Connection, name: str) -> None:
    """Wait for other loads of a table; the lock is held until the transaction ends.

    Concurrent CREATE TABLE statements can fail, and concurrent updates of the same rows in
    different order can deadlock. In SQLite the transaction holds the only write lock.
    """
    if connection.dialect.name == "postgresql":
        lock = sa.func.pg_advisory_xact_lock(sa.func.hashtext("fanfold"), sa.func.hashtext(name))
        connection.execute(sa.select(lock))


def _create_or_extend(connection: sa.Connection, table: sa.Table) -> None:
    inspector = sa.inspect(connection)
    if not inspector.has_table(table.name):
        table.create(connection, checkfirst=False)
        return
    present = {column["name"]: column["type"] for column in inspector.get_columns(table.name)}
    name = connection.dialect.identifier_preparer.format_table(table)
    for column in table.columns:
        if column.name in present:
            found = present[column.name]
            if changes_values(column.type, found, connection.dialect):
                wanted = column.type.compile(connection.dialect)
                raise BadConfiguration(
                    f"Table {table.name!r}: column {column.name!r} has the type {found}, which "
                    f"would change values of the pipeline's type {wanted}; alter the column's "
                    "type, or rename the table."
                )
        else:
            # Existing rows have no value in it, so it is nullable.
            nullable = sa.Column(column.name, column.type)
            definition = CreateColumn(nullable).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {definition}")


def _upsert(
    connection: sa.Connection,
    target: TargetTable,
    table: sa.Table,
    staging: sa.Table,
    *,
    whole: bool,
) -> Any:
    names = table.columns.keys()
    last = sa.select(sa.func.max(staging.c[ORDINAL])).group_by(
        *(staging.c[name] for name in target.key)
    )
    rows = sa.select(*(staging.c[name] for name in names)).where(staging.c[ORDINAL].in_(last))
    if whole:
        # An upsert locks, and so writes, every row that it does not change.
        same = (
            table.c[name] == staging.c[name]
            if name in target.key
            else table.c[name].is_not_distinct_from(staging.c[name])
            for name in names
        )
        rows = rows.where(~sa.exists().where(*same))
    insert = _INSERT[connection.dialect.name](table).from_select(names, rows)
    excluded = insert.excluded
    others = [name for name in names if name not in target.key]
    changed = [
        table.c[name].is_distinct_from(excluded[name])
        for name in others
        if name not in target.ignored
    ]
    if not changed:
        return insert.on_conflict_do_nothing(index_elements=target.key)
    newer = excluded[target.version] >= table.c[target.version]
    return insert.on_conflict_do_update(
        index_elements=target.key,
        set_={name: excluded[name] for name in others},
        where=None if whole else sa.and_(newer, sa.or_(*changed)),
    )


def _delete(target: TargetTable, table: sa.Table, staging: sa.Table) -> Any:
    """Delete the rows of keys that are not staged."""
    keys, staged = ([of.c[name] for name in target.key] for of in (table, staging))
    gone = sa.except_(sa.select(*keys), sa.select(*staged))
    return sa.delete(table).where(sa.tuple_(*keys).in_(gone))


def _affected(connection: sa.Connection, statement: Any) -> int:
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


def _repeated_key(connection: sa.Connection, staging: sa.Table, keys: list[sa.Column[Any]]) -> str:
    repeated = sa.select(*keys).group_by(*keys).having(sa.func.count() > 1)
    values = connection.execute(repeated.order_by(sa.func.min(staging.c[ORDINAL])).limit(1)).one()
    pairs = zip(keys, values, strict=True)
    return ", ".join(f"{key.name}={str(value)[:_SHOWN]!r}" for key, value in pairs)


def _count(connection: sa.Connection, rows: sa.FromClause) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one()
