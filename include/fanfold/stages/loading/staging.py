"""The staging table: rows arrive here by COPY (PostgreSQL) or executemany (SQLite)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import sqlalchemy as sa

from fanfold.errors import Inconsistent
from fanfold.stages.loading.values import copied, in_sqlite, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fanfold.stages.loading.tables import TargetTable

STAGING = "fanfold_staging"
ORDINAL = "fanfold_ordinal"
"""Column that numbers the staged rows in the order of the dataset."""

_CSV = pa_csv.WriteOptions(include_header=False)
"""Arrow quotes every string and no null; COPY reads an unquoted empty value as null."""


def stage(
    connection: sa.Connection,
    target: TargetTable,
    table: sa.Table,
    batches: Iterable[pa.RecordBatch],
) -> tuple[sa.Table, int]:
    """Create a temporary table like ``table``, fill it, and return it with its number of rows.

    Raises:
        Inconsistent: A row has no value in a column of the key, or one that cannot be stored.
    """
    columns = [sa.Column(column.name, column.type) for column in table.columns]
    ordinal = sa.Column(ORDINAL, sa.BigInteger())
    staging = sa.Table(STAGING, sa.MetaData(), ordinal, *columns, prefixes=["TEMPORARY"])
    staging.create(connection, checkfirst=False)
    write = _copy if connection.dialect.name == "postgresql" else _insert
    return staging, write(connection, table.name, _numbered(target, batches))


def _numbered(target: TargetTable, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put row numbers before the columns."""
    rows = 0
    for batch in batches:
        for name in target.required:
            _check_complete(target, name, batch.column(name), rows)
        numbers = pa.array(range(rows, rows + batch.num_rows), pa.int64())
        columns = [plain(column) for column in batch.columns]
        yield pa.record_batch([numbers, *columns], names=[ORDINAL, *batch.schema.names])
        rows += batch.num_rows


def _check_complete(target: TargetTable, name: str, column: pa.Array, rows: int) -> None:
    if column.null_count:
        row = rows + 1 + pc.index(column.is_null(), value=True).as_py()
        raise Inconsistent(
            f"Table {target.name!r}: row {row} has no value in {name!r}, and rows are merged by "
            f"{', '.join(target.required)}. Let the contract or the fold exclude such rows, or "
            "choose another key."
        )


def _copy(connection: sa.Connection, _: str, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    psycopg_connection: Any = connection.connection.driver_connection
    with (
        psycopg_connection.cursor() as cursor,
        cursor.copy(f"COPY {STAGING} FROM STDIN (FORMAT csv)") as stream,
    ):
        for batch in batches:
            text = io.BytesIO()
            columns = [copied(column) for column in batch.columns]
            pa_csv.write_csv(pa.record_batch(columns, batch.schema.names), text, _CSV)
            stream.write(text.getvalue())
            rows += batch.num_rows
    # Without statistics the planner assumes a few rows and may choose a slow plan.
    connection.exec_driver_sql(f"ANALYZE {STAGING}")
    return rows


def _insert(connection: sa.Connection, table: str, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    for batch in batches:
        marks = ", ".join("?" * batch.num_columns)
        values = zip(
            *(
                in_sqlite(column, f"Table {table!r}: column {name!r}")
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ),
            strict=True,
        )
        statement = f"INSERT INTO {STAGING} VALUES ({marks})"  # noqa: S608 - constants
        connection.exec_driver_sql(statement, list(values))
        rows += batch.num_rows
    return rows
