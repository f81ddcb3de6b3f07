"""The staging table: rows arrive here by COPY (PostgreSQL) or executemany (SQLite)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import sqlalchemy as sa

from fanfold.stages.loading.tables import has_time_zone, is_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STAGING = "fanfold_staging"
ORDINAL = "fanfold_ordinal"
"""Column that numbers the staged rows in the order of the dataset."""

_CSV = pa_csv.WriteOptions(include_header=False)
"""Arrow quotes every string and no null; COPY reads an unquoted empty value as null."""


def stage(
    connection: sa.Connection, table: sa.Table, batches: Iterable[pa.RecordBatch]
) -> tuple[sa.Table, int]:
    """Create a temporary table like ``table``, fill it, and return it with its number of rows."""
    columns = [sa.Column(column.name, column.type) for column in table.columns]
    ordinal = sa.Column(ORDINAL, sa.BigInteger())
    staging = sa.Table(STAGING, sa.MetaData(), ordinal, *columns, prefixes=["TEMPORARY"])
    staging.create(connection, checkfirst=False)
    write = _copy if connection.dialect.name == "postgresql" else _insert
    return staging, write(connection, _numbered(batches))


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put row numbers before the columns, and drop NUL from text: PostgreSQL cannot store it."""
    rows = 0
    for batch in batches:
        numbers = pa.array(range(rows, rows + batch.num_rows), pa.int64())
        columns = [_plain(column) for column in batch.columns]
        yield pa.record_batch([numbers, *columns], names=[ORDINAL, *batch.schema.names])
        rows += batch.num_rows


def _plain(column: pa.Array) -> pa.Array:
    if not is_text(column.type):
        return column
    return pc.replace_substring(column.cast(pa.string()), "\x00", "")


def _copy(connection: sa.Connection, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    psycopg_connection: Any = connection.connection.driver_connection
    with (
        psycopg_connection.cursor() as cursor,
        cursor.copy(f"COPY {STAGING} FROM STDIN (FORMAT csv)") as stream,
    ):
        for batch in batches:
            text = io.BytesIO()
            pa_csv.write_csv(batch, text, _CSV)
            stream.write(text.getvalue())
            rows += batch.num_rows
    # Without statistics the planner assumes a few rows and may choose a slow plan.
    connection.exec_driver_sql(f"ANALYZE {STAGING}")
    return rows


def _insert(connection: sa.Connection, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    for batch in batches:
        marks = ", ".join("?" * batch.num_columns)
        values = zip(*map(_sqlite_values, batch.columns), strict=True)
        statement = f"INSERT INTO {STAGING} VALUES ({marks})"  # noqa: S608 - constants
        connection.exec_driver_sql(statement, list(values))
        rows += batch.num_rows
    return rows


def _sqlite_values(column: pa.Array) -> list[Any]:
    if has_time_zone(column.type):
        # The cast drops the zone and writes UTC as 2026-01-01 00:00:00.000000, ten times faster
        # than strftime.
        text = column.cast(pa.timestamp("us")).cast(pa.string())
        column = pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), "Z", "")
    elif pa.types.is_date(column.type):
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values
