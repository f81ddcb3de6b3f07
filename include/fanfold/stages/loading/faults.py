"""What a database refuses, and what the caller can do about it: the one place that decides.

SQLSTATE codes from the PostgreSQL manual, appendix A; SQLite's names from sqlite.org/rescode.html.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from fanfold.errors import BadConfiguration, FanfoldError, Inconsistent, SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_AWAY = "the database is away or overloaded; check that it runs"
_BUSY = "another transaction was in the way"
_LOCKED = "another program holds the file: end the program that writes to the file, or wait for it"
_FULL = "the database is out of disk, memory or connections: make room"
_RIGHTS = "grant its user CREATE and TEMPORARY on database and schema, and the tables themselves"
_LOGIN = "check host, port, login, password and schema of the connection"
_SHAPE = (
    "a table of this name exists with other columns, types or key: rename it, or give the "
    "connection a schema or database of its own"
)
_READ_ONLY = "the database is read-only: point the connection to the primary"
_DATA = "a rule of the table refuses the rows: remove the rule, or change the contract"

_POSTGRES: dict[str, tuple[type[FanfoldError], str]] = {
    "08": (SinkUnavailable, _AWAY),
    "0A": (BadConfiguration, "this server lacks a feature: use PostgreSQL 12 or later"),
    "22": (Inconsistent, _DATA),
    "23": (Inconsistent, _DATA),
    "25006": (BadConfiguration, _READ_ONLY),
    "28": (BadConfiguration, _LOGIN),
    "3D": (BadConfiguration, _LOGIN),
    "3F": (BadConfiguration, "no schema to create tables in: set search_path of the user"),
    "40": (SinkUnavailable, _BUSY),
    "42": (BadConfiguration, _SHAPE),
    "42501": (BadConfiguration, _RIGHTS),
    "44": (Inconsistent, _DATA),
    "53": (SinkUnavailable, _FULL),
    "55": (SinkUnavailable, _BUSY),
    "57": (SinkUnavailable, _AWAY),
    "57P04": (BadConfiguration, _LOGIN),
    "58": (SinkUnavailable, _AWAY),
    "XX": (SinkUnavailable, _AWAY),
}
"""By SQLSTATE, or by its first two characters."""

_SQLITE: dict[str, tuple[type[FanfoldError], str]] = {
    "AUTH": (BadConfiguration, _RIGHTS),
    "BUSY": (SinkUnavailable, _LOCKED),
    "CANTOPEN": (BadConfiguration, "the file cannot be opened: check its folder and its rights"),
    "CONSTRAINT": (Inconsistent, _DATA),
    "CORRUPT": (BadConfiguration, "the file is damaged: restore it, or set another one"),
    "ERROR": (BadConfiguration, _SHAPE),
    "FULL": (SinkUnavailable, _FULL),
    "IOERR": (SinkUnavailable, "the disk does not answer"),
    "LOCKED": (SinkUnavailable, _LOCKED),
    "MISMATCH": (Inconsistent, _DATA),
    "NOMEM": (SinkUnavailable, _FULL),
    "NOTADB": (BadConfiguration, "the file is no SQLite database: set another one"),
    "PERM": (BadConfiguration, "the file may not be written: check its rights"),
    "PROTOCOL": (SinkUnavailable, _BUSY),
    "READONLY": (BadConfiguration, "the file may not be written: check its rights"),
    "SCHEMA": (SinkUnavailable, _BUSY),
    "TOOBIG": (Inconsistent, _DATA),
}
"""By the second word of the code's name: SQLITE_BUSY_SNAPSHOT is BUSY."""

_LOGIN_REFUSED = re.compile(
    r"authentication failed|no password supplied|does not exist|pg_hba\.conf|not permitted"
    r"|certificate|SSL|could not translate host name|Name or service not known"
)
"""libpq gives no code for a login that fails, only text; an answer in another language is
retried before it is told."""


@contextmanager
def database_errors(connection_id: str) -> Iterator[None]:
    """Turn every error of psycopg and sqlite3 inside the block into one of ours.

    It is meant for connecting, too.

    Args:
        connection_id: The Airflow connection, for the message.

    Raises:
        BadConfiguration: Login, rights, file or existing tables are wrong.
        SinkUnavailable: The database is away, full or locked.
        Inconsistent: The database refuses the rows.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _of_sqlite(error, connection_id) from error
    except psycopg.Error as error:
        translated = _of_postgres(error, connection_id)
        if error.sqlstate is None and not isinstance(error, psycopg.OperationalError):
            # libpq repeats parts of a connection string that it cannot parse: maybe the password.
            raise translated from None
        raise translated from error


def _of_postgres(error: psycopg.Error, connection_id: str) -> FanfoldError:
    state = error.sqlstate
    if state is not None:
        known = _POSTGRES.get(state) or _POSTGRES.get(state[:2]) or (Inconsistent, _DATA)
        # The first line only: details may hold rows.
        said = (error.diag.message_primary or type(error).__name__).splitlines()[0][:200]
        return known[0](f"{connection_id}: {said} (SQLSTATE {state}); {known[1]}.")
    if not isinstance(error, psycopg.OperationalError):
        return BadConfiguration(f"{connection_id}: psycopg does not take it; {_LOGIN}.")
    if _LOGIN_REFUSED.search(str(error)):
        return BadConfiguration(f"{connection_id}: the login is refused; {_LOGIN}.")
    return SinkUnavailable(f"{connection_id}: the connection failed or broke; {_AWAY}.")


def _of_sqlite(error: sqlite3.Error, connection_id: str) -> FanfoldError:
    name = getattr(error, "sqlite_errorname", None)
    if name is None:
        # The sqlite3 module itself refuses a value or a closed connection; SQLite was not asked.
        return Inconsistent(f"{connection_id}: sqlite3 refuses the call ({type(error).__name__}).")
    known = _SQLITE.get(name.split("_")[1]) or (Inconsistent, _DATA)
    return known[0](f"{connection_id}: SQLite answers {name}; {known[1]}.")
