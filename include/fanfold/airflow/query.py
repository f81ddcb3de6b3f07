"""Run the query of the Param ``items_sql``, read-only, and stream its rows."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import psycopg

from fanfold.airflow import connections
from fanfold.errors import (
    BadConfiguration,
    BadInput,
    FanfoldError,
    Inconsistent,
    SinkUnavailable,
)
from fanfold.readers.values import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS = 1000
"""Rows that are fetched at once."""
_READS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
"""What a query does in SQLite that changes nothing. Source: sqlite3_set_authorizer."""
_TRANSIENT = {"OperationalError", "InterfaceError"}
"""Errors of PEP 249 that a retry may solve."""


@contextlib.contextmanager
def query_rows(connection_id: str, query: str) -> Iterator[tuple[list[str], Iterator[Any]]]:
    """Run a query; yield the names of its columns, and its rows.

    PostgreSQL runs it in a read-only transaction with a server-side cursor, so that the rows need
    not fit into memory; SQLite permits only what reads. For other databases, the user of the connection
    should have no right to write.

    Raises:
        BadConfiguration: The connection is missing, wrong, or that of no database.
        BadInput: The database rejects the query, or it returns no rows.
        SinkUnavailable: The database is unavailable.
    """
    with (
        connections.database(connection_id) as connection,
        contextlib.closing(_read_only(connection)) as cursor,
    ):
        with _query_errors(connection_id, query):
            cursor.execute(query)
        if cursor.description is None:
            raise BadInput(_message(connection_id, query, "it returns no rows"))
        yield [column[0] for column in cursor.description], _rows(cursor, connection_id, query)


def _read_only(connection: Any) -> Any:
    if isinstance(connection, psycopg.Connection):
        connection.execute("SET DateStyle TO 'ISO'")  # psycopg reads no other
        connection.commit()
        connection.read_only = True
        return connection.cursor(name="fanfold_items")
    if isinstance(connection, sqlite3.Connection):
        # query_only would permit ATTACH and VACUUM INTO, which create files, and other pragmas.
        connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY
        )
    return connection.cursor()


def _rows(cursor: Any, connection_id: str, query: str) -> Iterator[Any]:
    while True:
        with _query_errors(connection_id, query):
            rows = cursor.fetchmany(_ROWS)
        if not rows:
            return
        yield from rows


@contextlib.contextmanager
def _query_errors(connection_id: str, query: str) -> Iterator[None]:
    from fanfold.stages.loading import database_errors

    try:
        with database_errors(connection_id):
            yield
    except (BadConfiguration, Inconsistent) as error:
        raise BadInput(_message(connection_id, query, _reason(error.__cause__))) from error
    except FanfoldError:
        raise
    except Exception as error:  # each driver has its own classes
        kind = SinkUnavailable if type(error).__name__ in _TRANSIENT else BadInput
        raise kind(_message(connection_id, query, type(error).__name__)) from error


def _reason(error: BaseException | None) -> str:
    text = (error.diag.message_primary if isinstance(error, psycopg.Error) else None) or str(error)
    return shortened(text.partition("\n")[0])


def _message(connection_id: str, query: str, reason: str) -> str:
    return (
        f"items_sql: the query {shortened(query)} on the connection {connection_id!r} failed: "
        f"{reason}."
    )
