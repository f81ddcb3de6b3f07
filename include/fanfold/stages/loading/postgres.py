"""PostgreSQL: COPY into a temporary table, an advisory lock around what tables share."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from fanfold.errors import Inconsistent
from fanfold.stages.loading.tables import ORDINAL, STAGING, is_text, listed, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

    from fanfold.stages.loading.tables import Table

_CSV = pa_csv.WriteOptions(include_header=False)
"""Arrow quotes every text and no null, which is how COPY tells an empty text from a null."""


class Postgres:
    """An open psycopg connection as a place to load into."""

    differs = "IS DISTINCT FROM"

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[None]:
        """Commit what the block does, or nothing of it; nothing in any case unless ``keep``."""
        with self._connection.transaction(force_rollback=not keep):
            yield
        # A connection that was in a transaction already got a savepoint from psycopg.
        if self._connection.info.transaction_status != TransactionStatus.IDLE:
            self._connection.commit()

    def execute(self, statement: str) -> int:
        """Run a statement and return how many rows it touched."""
        with self._connection.cursor() as cursor:
            return cursor.execute(statement.encode()).rowcount

    def scalar(self, statement: str) -> Any:
        """Return the first value of a query."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(statement.encode()).fetchone()
        return None if row is None else row[0]

    def lock(self, name: str) -> None:
        """Wait until no other load works on a table; held until the transaction ends.

        It makes CREATE TABLE IF NOT EXISTS safe, which it is not by itself, and keeps two loads
        that update the same rows in different order from blocking each other for ever.
        """
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtext('fanfold'), hashtext(%s))", [name]
            )

    def columns(self, name: str) -> frozenset[str]:
        """Return the columns of a table; none where there is no such table."""
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(
                "SELECT attname FROM pg_attribute "
                "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
                [quoted(name)],
            ).fetchall()
        return frozenset(row[0] for row in rows)

    def stage(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        """Fill the staging table, and return its rows."""
        columns = ", ".join(f"{quoted(field.name)} {self.type_of(field)}" for field in table.schema)
        self.execute(
            f"CREATE TEMPORARY TABLE {STAGING} ({columns}, "
            f"{ORDINAL} bigint GENERATED ALWAYS AS IDENTITY) ON COMMIT DROP"
        )
        copy = f"COPY {STAGING} ({listed(table.schema.names)}) FROM STDIN (FORMAT csv)"
        rows = 0
        with self._connection.cursor() as cursor, cursor.copy(copy.encode()) as stream:
            for batch in batches:
                text = io.BytesIO()
                pa_csv.write_csv(batch, text, _CSV)
                stream.write(text.getvalue())
                rows += batch.num_rows
        # Without it the planner guesses a few rows and may choose a plan for these.
        self.execute(f"ANALYZE {STAGING}")
        return rows

    def type_of(self, field: pa.Field) -> str:
        """Return the type of a column.

        Raises:
            Inconsistent: There is none for it.
        """
        kind = field.type
        if is_text(kind):
            return "text"
        for fits, name in _TYPES:
            if fits(kind):
                return name
        raise Inconsistent(f"Column {field.name!r} has the type {kind}, which load cannot store.")


_TYPES = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_uint64, "numeric(20)"),
    (pa.types.is_integer, "bigint"),
    (pa.types.is_floating, "double precision"),
    (pa.types.is_date, "date"),
    (lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None, "timestamp with time zone"),
)
