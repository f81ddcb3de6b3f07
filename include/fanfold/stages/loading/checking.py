"""Check before a run what its load needs, in a transaction that the caller rolls back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from fanfold.errors import BadConfiguration
from fanfold.stages.loading.merging import create_or_extend, insert_into, lock, upsert
from fanfold.stages.loading.runs import RUNS, RUNS_SCHEMA
from fanfold.stages.loading.sql_errors import database_errors
from fanfold.stages.loading.staging import stage
from fanfold.stages.loading.tables import TargetTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

log = logging.getLogger(__name__)

_TRIAL = TargetTable("fanfold_preflight", ("probe",), "probe")
_TEXT = "é用😀"
"""Text of 2, 3 and 4 bytes a character in UTF-8."""
_LOCK = "10s"
"""Maximum wait for the lock of a table of PostgreSQL."""
_FACTS = """
SELECT
  (SELECT min(conname) FROM pg_constraint
    WHERE conrelid = rel.oid AND condeferrable AND contype IN ('p', 'u') AND %(key)s = ARRAY(
      SELECT attname::text FROM pg_attribute
       WHERE attrelid = conrelid AND attnum = ANY (conkey) ORDER BY attname::text COLLATE "C")),
  EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = rel.oid AND NOT tgisinternal AND tgtype & 7 = 7),
  EXISTS (SELECT FROM pg_partitioned_table
    WHERE partrelid = rel.oid AND (partstrat <> 'h' AND partdefid = 0 OR NOT EXISTS (
      SELECT FROM pg_partition_tree(rel.oid) WHERE isleaf AND relid <> rel.oid))),
  ARRAY(SELECT pg_get_partition_constraintdef(relid) FROM pg_partition_tree(rel.oid)
    WHERE isleaf AND relid <> rel.oid),
  row_security_active(rel.oid)
FROM pg_class AS rel WHERE rel.oid = to_regclass(%(table)s)
"""
"""Of a table: a deferrable constraint on the key; whether a trigger may change rows before they are inserted
(bits ROW, BEFORE and INSERT of ``tgtype``); whether its partitions may lack one for a row; the conditions of
these; whether row-level security applies to the user."""


def probe(  # noqa: PLR0913 - what a load depends on
    connection: sa.Connection,
    targets: Sequence[TargetTable],
    schemas: Mapping[str, pa.Schema],
    connection_id: str,
    *,
    deletes: bool,
    as_of: datetime | None,
) -> None:
    """Run every kind of statement that a load needs, without a row.

    Missing tables and columns are created. Existing tables must accept rows and, if the load ``deletes``
    rows, let it. What only a row would show is read from the catalogue.

    Args:
        connection: An open transaction.
        targets: Tables of dataset and folds.
        schemas: Schemas of dataset and folds by name, as far as they are known. Of the others, existing
            tables are checked for permissions and key only.
        connection_id: The Airflow connection, for error messages.
        deletes: Whether the load deletes rows.
        as_of: Logical date of the run, to find its partition.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout TO '{_LOCK}'")
    text = pa.table({"probe": [_TEXT]})
    staging, _ = stage(connection, _TRIAL, _TRIAL.define(text.schema), text.to_batches())
    staging.drop(connection, checkfirst=False)
    for target in sorted(targets, key=lambda target: target.name):
        with database_errors(connection_id, target.name):
            schema = schemas.get(target.rows_of or target.name)
            _probe_table(connection, target, schema, as_of, deletes=deletes)
    with database_errors(connection_id, RUNS.name):
        _probe_table(connection, RUNS, RUNS_SCHEMA, None, deletes=False)


def _probe_table(
    connection: sa.Connection,
    target: TargetTable,
    schema: pa.Schema | None,
    as_of: datetime | None,
    *,
    deletes: bool,
) -> None:
    exists = sa.inspect(connection).has_table(target.name)
    if exists:
        _check_key(connection, target)
    else:
        lock(connection, target.name)
        schema = schema or pa.schema(dict.fromkeys(target.required, pa.string()))
    table: sa.TableClause
    if schema:
        defined = table = target.define(schema)
        staging, _ = stage(connection, target, defined, [])
        create_or_extend(connection, defined)
        connection.execute(upsert(connection, target, defined, staging, whole=deletes))
        staging.drop(connection, checkfirst=False)
    else:
        table = sa.table(target.name, *map(sa.column, target.key))
        insert = insert_into(connection, table)
        insert = insert.from_select(target.key, sa.select(table).where(sa.false()))
        changed = {target.key[0]: insert.excluded[target.key[0]]}
        connection.execute(insert.on_conflict_do_update(index_elements=target.key, set_=changed))
    if deletes:
        connection.execute(sa.delete(table).where(sa.false()))
    if exists:
        fills = False
        if connection.dialect.name == "postgresql":
            fills = _check_catalogue(connection, target, as_of)
        if schema and not fills:
            _check_required(connection, target, schema)


def _check_key(connection: sa.Connection, target: TargetTable) -> None:
    """Raise if the table has another primary key, such as that of an earlier version of the pipeline."""
    inspector = sa.inspect(connection)
    primary = inspector.get_pk_constraint(target.name)["constrained_columns"]
    keys: list[Sequence[str | None]] = [
        primary,
        *(each["column_names"] for each in inspector.get_unique_constraints(target.name)),
        *(each["column_names"] for each in inspector.get_indexes(target.name) if each["unique"]),
    ]
    if primary and not any(set(target.key) == set(key) for key in keys):
        raise BadConfiguration(
            f"Table {target.name!r} has the key ({', '.join(primary)}), and the pipeline "
            f"({', '.join(target.key)}). Rename it (ALTER TABLE {target.name} RENAME TO "
            f"{target.name}_old), and the load makes a new one. CHANGELOG.md says how to keep the rows after an "
            "upgrade."
        )


def _check_required(connection: sa.Connection, target: TargetTable, schema: pa.Schema) -> None:
    """Raise if the table needs a value in a column that the rows do not have."""
    for column in sa.inspect(connection).get_columns(target.name):
        filled = column["default"] is not None or "identity" in column or "computed" in column
        if column["name"] not in schema.names and not column["nullable"] and not filled:
            raise BadConfiguration(
                f"Table {target.name!r}: column {column['name']!r} is NOT NULL without a default, and "
                "the pipeline has no such column; give it a default, or drop NOT NULL."
            )


def _check_catalogue(
    connection: sa.Connection, target: TargetTable, as_of: datetime | None
) -> bool:
    """Raise if a table of PostgreSQL would reject each row; return whether a trigger may fill columns."""
    name = connection.dialect.identifier_preparer.quote(target.name)
    found = connection.exec_driver_sql(_FACTS, {"key": sorted(target.key), "table": name})
    deferrable, fills, limited, partitions, has_policies = found.one()
    if deferrable:
        raise BadConfiguration(
            f"Table {target.name!r}: ON CONFLICT does not support the deferrable constraint "
            f"{deferrable!r} on the key; make it NOT DEFERRABLE."
        )
    if has_policies:
        log.warning(
            "Table %r has row-level security: rows that a policy rejects or hides fail the load.",
            target.name,
        )
    if limited:
        fits = _has_partition(connection, name, target, partitions, as_of)
        if fits is None:
            log.warning(
                "Table %r has no DEFAULT partition: rows that fit none of its partitions fail the load.",
                target.name,
            )
        elif not fits:
            raise BadConfiguration(
                f"Table {target.name!r} is partitioned, and no partition takes rows with "
                f"{target.version} = {as_of}; create one, or a DEFAULT partition."
            )
    return bool(fills)


def _has_partition(
    connection: sa.Connection,
    name: str,
    target: TargetTable,
    partitions: Sequence[str],
    as_of: datetime | None,
) -> bool | None:
    """Whether a partition takes the rows of a run; None if that depends on more than its logical date."""
    if not partitions or as_of is None:
        return None if partitions else False
    version = connection.dialect.identifier_preparer.quote(target.version)
    fits = " OR ".join(f"({condition})" for condition in partitions).replace("%", "%%")
    row = f"SELECT {version} FROM {name} WHERE false UNION ALL SELECT %(as_of)s"  # noqa: S608 - quoted
    query = f"SELECT count(*) FROM ({row}) AS one WHERE {fits}"  # noqa: S608 - of the catalogue
    try:
        with connection.begin_nested():
            return bool(connection.exec_driver_sql(query, {"as_of": as_of}).scalar_one())
    except ProgrammingError as error:
        if isinstance(error.orig, psycopg.errors.UndefinedColumn):
            return None
        raise
