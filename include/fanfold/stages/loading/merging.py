"""Merge rows into a table of PostgreSQL or SQLite: stage them, add columns, upsert."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateColumn

from fanfold.stages.loading.staging import ORDINAL, stage
from fanfold.stages.loading.tables import TargetTable

if TYPE_CHECKING:
    from collections.abc import Iterable

_INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Row counts of a load.

    Attributes:
        table: The table.
        rows_in_dataset: Rows of the dataset.
        duplicates: Rows skipped because a later row has the same key.
        written: Rows inserted or updated; the others were unchanged or older.
        rows_in_table: Rows in the table afterwards.
    """

    table: str
    rows_in_dataset: int
    duplicates: int
    written: int
    rows_in_table: int


def merge(
    connection: sa.Connection,
    target: TargetTable,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
) -> LoadResult:
    """Merge rows into a table, inside the caller's transaction.

    A missing table is created; missing columns are added. If several rows have the same key, the
    last one is used. An existing row is updated if the staged row is at least as new and differs.
    """
    table = target.define(schema)
    staging, staged = stage(connection, table, batches)
    _lock(connection, table.name)
    _create_or_extend(connection, table)
    keys = [staging.c[name] for name in target.key]
    distinct = sa.select(*keys).distinct().subquery()
    upsert = _upsert(connection, target, table, staging)
    result = LoadResult(
        table=target.name,
        rows_in_dataset=staged,
        duplicates=staged - _count(connection, distinct),
        written=connection.execute(upsert, execution_options={"preserve_rowcount": True}).rowcount,
        rows_in_table=_count(connection, table),
    )
    staging.drop(connection, checkfirst=False)
    return result


def probe(connection: sa.Connection, targets: Iterable[TargetTable]) -> None:
    """Run every kind of statement that a load needs, in a transaction that the caller rolls back.

    Existing tables must accept rows. If one is missing, the user must be permitted to create it.
    """
    schema = pa.schema([pa.field("probe", pa.string())])
    rows = [pa.record_batch([["probe"]], schema=schema)]
    trial = TargetTable(f"fanfold_preflight_{secrets.token_hex(8)}", ("probe",), "probe")
    inspector = sa.inspect(connection)
    existing = [target for target in targets if inspector.has_table(target.name)]
    if existing == list(targets):
        stage(connection, trial.define(schema), rows)
    else:
        merge(connection, trial, schema, rows)
    for target in existing:
        # It touches no row, but needs the permissions and the unique key that an upsert needs.
        table = sa.table(target.name, *map(sa.column, target.key))
        insert = _INSERT[connection.dialect.name](table)
        insert = insert.from_select(target.key, sa.select(table).where(sa.false()))
        changed = {target.key[0]: insert.excluded[target.key[0]]}
        connection.execute(insert.on_conflict_do_update(index_elements=target.key, set_=changed))


def _lock(connection: sa.Connection, name: str) -> None:
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
    present = {column["name"] for column in inspector.get_columns(table.name)}
    name = connection.dialect.identifier_preparer.format_table(table)
    for column in table.columns:
        if column.name not in present:
            # Existing rows have no value in it, so it is nullable.
            nullable = sa.Column(column.name, column.type)
            definition = CreateColumn(nullable).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {definition}")


def _upsert(
    connection: sa.Connection, target: TargetTable, table: sa.Table, staging: sa.Table
) -> Any:
    names = table.columns.keys()
    last = sa.select(sa.func.max(staging.c[ORDINAL])).group_by(
        *(staging.c[name] for name in target.key)
    )
    rows = sa.select(*(staging.c[name] for name in names)).where(staging.c[ORDINAL].in_(last))
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
        where=sa.and_(newer, sa.or_(*changed)),
    )


def _count(connection: sa.Connection, rows: sa.FromClause) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one()
