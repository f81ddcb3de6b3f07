"""Merge rows into a table of PostgreSQL or SQLite: stage them, add columns, upsert, delete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateColumn

from fanfold.errors import BadConfiguration, Inconsistent
from fanfold.messages import ENGINE, Message
from fanfold.model import utc_text
from fanfold.stages.loading.staging import ORDINAL, stage
from fanfold.stages.loading.tables import TargetTable, changes_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

_SHOWN = 80
"""Characters of a key's value in a message."""


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
        outdated: Rows that were not written because the table has a newer row of their key.
        newest: The latest version of these newer rows, such as ``2026-03-01T00:00:00.000Z``.
        skipped: Why the table was left as it is; None if it was loaded.
    """

    table: str
    rows_in_dataset: int
    duplicates: int
    written: int
    rows_in_table: int
    repeated_key: str = ""
    deleted: int = 0
    outdated: int = 0
    newest: str = ""
    skipped: Message | None = None

    @property
    def summary(self) -> str:
        """The counts as a sentence, for the log."""
        deleted = f", {self.deleted} deleted because their key is gone" if self.deleted else ""
        return f"{self.table}: {self.written} of {self.rows_in_dataset} rows written{deleted}."

    @property
    def warnings(self) -> list[Message]:
        """What was not written, and why."""
        table, rows = self.table, self.rows_in_dataset
        found = [self.skipped] if self.skipped else []
        if n := self.duplicates:
            key = self.repeated_key
            found.append(ENGINE.message("load.repeated", table=table, rows=rows, n=n, key=key))
        if n := self.outdated:
            newest = self.newest
            found.append(
                ENGINE.message("load.outdated", table=table, rows=rows, n=n, newest=newest)
            )
        return found


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
        Inconsistent: Rows without a key, with values that cannot be stored, or that the table discards.
    """
    table = target.define(schema)
    staging, staged = stage(connection, target, table, batches)
    lock(connection, table.name)
    create_or_extend(connection, table)
    keys = [staging.c[name] for name in target.key]
    distinct = _count(connection, sa.select(*keys).distinct().subquery())
    written = _affected(connection, upsert(connection, target, table, staging, whole=whole))
    if written < distinct:
        _check_present(connection, target, table, staging)
    rows = _count(connection, table)
    deleted, newer = 0, (0, "")
    if whole and rows > distinct:
        deleted = _affected(connection, _delete(target, table, staging))
    elif not whole and written < distinct:
        newer = _newer(connection, target, table, staging)
    result = LoadResult(
        table=target.name,
        rows_in_dataset=staged,
        duplicates=staged - distinct,
        written=written,
        rows_in_table=rows - deleted,
        repeated_key=_repeated_key(connection, staging, keys) if staged > distinct else "",
        deleted=deleted,
        outdated=newer[0],
        newest=newer[1],
    )
    staging.drop(connection, checkfirst=False)
    return result


def skipped(
    connection: sa.Connection, target: TargetTable, rows: int, reason: Message
) -> LoadResult:
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


def create_or_extend(connection: sa.Connection, table: sa.Table) -> None:
    """Create a table, or add the columns that it lacks.

    Raises:
        BadConfiguration: A column has a type that would change the values.
    """
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


def insert_into(connection: sa.Connection, table: sa.TableClause) -> Any:
    """Return an INSERT that may have ON CONFLICT."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def upsert(
    connection: sa.Connection,
    target: TargetTable,
    table: sa.Table,
    staging: sa.Table,
    *,
    whole: bool,
) -> Any:
    """Return the statement that writes the staged rows."""
    names = table.columns.keys()
    rows = sa.select(*(staging.c[name] for name in names)).where(_is_last(target, staging))
    if whole:
        # An upsert locks, and so writes, every row that it does not change.
        same = (
            table.c[name] == staging.c[name]
            if name in target.key
            else table.c[name].is_not_distinct_from(staging.c[name])
            for name in names
        )
        rows = rows.where(~sa.exists().where(*same))
    insert = insert_into(connection, table).from_select(names, rows)
    excluded = insert.excluded
    others = [name for name in names if name not in target.key]
    changed = [
        table.c[name].is_distinct_from(excluded[name])
        for name in others
        if name not in target.ignored
    ]
    if not changed:
        return insert.on_conflict_do_nothing(index_elements=target.key)
    # A column that was added to an existing table is null.
    version = table.c[target.version]
    newer = sa.or_(version.is_(None), excluded[target.version] >= version)
    return insert.on_conflict_do_update(
        index_elements=target.key,
        set_={name: excluded[name] for name in others},
        where=None if whole else sa.and_(newer, sa.or_(*changed)),
    )


def _is_last(target: TargetTable, staging: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition of the last staged row of each key."""
    last = sa.select(sa.func.max(staging.c[ORDINAL]))
    return staging.c[ORDINAL].in_(last.group_by(*(staging.c[name] for name in target.key)))


def _check_present(
    connection: sa.Connection, target: TargetTable, table: sa.Table, staging: sa.Table
) -> None:
    """Raise if a staged key is not in the table: a trigger or a rule may discard rows without an error."""
    same = (table.c[name] == staging.c[name] for name in target.key)
    absent = sa.select(staging.c[ORDINAL]).where(
        ~sa.exists().where(*same), _is_last(target, staging)
    )
    if count := _count(connection, absent.subquery()):
        raise Inconsistent(
            f"Table {target.name!r} lacks {count} of the rows after they were written: a trigger, a rule or a "
            "policy of the table discards or hides them. Change it, or give the connection a separate schema or "
            "database."
        )


def _newer(
    connection: sa.Connection, target: TargetTable, table: sa.Table, staging: sa.Table
) -> tuple[int, str]:
    """Return how many staged keys have a newer row in the table, and the latest version of these."""
    same = (table.c[name] == staging.c[name] for name in target.key)
    version = table.c[target.version]
    found = sa.select(sa.func.count(), sa.func.max(version)).where(
        *same, version > staging.c[target.version], _is_last(target, staging)
    )
    count, newest = connection.execute(found).one()
    if isinstance(table.c[target.version].type, sa.DateTime) and newest is not None:
        newest = utc_text(datetime.fromisoformat(str(newest)))  # SQLite has text
    return count, "" if newest is None else str(newest)


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
