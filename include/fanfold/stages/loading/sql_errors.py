"""Translate errors of PostgreSQL and SQLite into Fanfold's error tree.

SQLSTATE codes: PostgreSQL manual, appendix A. SQLite result codes: sqlite.org/rescode.html.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.exc import DBAPIError

from fanfold.errors import BadConfiguration, FanfoldError, Inconsistent, SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNAVAILABLE = "the database is unavailable or overloaded; check that it runs"
_CONFLICT = "a concurrent transaction interfered"
_LOCKED = "another program holds the file: stop the program that writes to the file, or wait"
_FULL = "the database is out of disk, memory or connections: free some"
_GRANT = (
    "grant its user CREATE and TEMPORARY on database and schema, and SELECT, INSERT, UPDATE and DELETE on the "
    "tables; only their owner may add columns"
)
_POLICY = "a policy of row-level security hides or rejects the rows: change it, or give the user BYPASSRLS"
_LOGIN = "check login and password of the connection"
_DATABASE = "create the database, or correct the field schema of the connection, which names it"
_OPTIONS = "check host, port, and the options in the extra of the connection"
_SCHEMA = (
    "a table or view of this name exists with other columns, types or key, or takes no rows: rename it (ALTER "
    "TABLE … RENAME TO …; load makes a new one), or give the connection a separate schema or database"
)
_READ_ONLY = "the database is read-only: point the connection to the primary"
_NOT_WRITABLE = "the file is not writable: check its permissions"
_DATA = "a constraint, type or trigger of the table rejects the rows: change it, or the contract of the pipeline"
_ENCODING = "the database cannot hold all text: use one that was created with ENCODING 'UTF8'"
_IDLE = "a timeout of the server ended the session: raise the timeout for its user"
_CANCELLED = "raise statement_timeout for its user, unless an administrator cancelled the statement"
_PARTITION = "create a partition for these rows, or a DEFAULT partition"
_POOLING = "load needs transactions: set pool_mode of pgbouncer to transaction or session"
_DAMAGED = "the database is damaged: repair or restore it"

_Recovery = tuple[type[FanfoldError], str]

_POSTGRES: dict[str, _Recovery] = {
    "08": (SinkUnavailable, _UNAVAILABLE),
    "0A": (BadConfiguration, "load needs PostgreSQL 12 or later, and an ordinary table"),
    "22021": (BadConfiguration, _ENCODING),
    "22P05": (BadConfiguration, _ENCODING),
    "25006": (BadConfiguration, _READ_ONLY),
    "25P03": (SinkUnavailable, _IDLE),
    "25P04": (SinkUnavailable, _IDLE),
    "28": (BadConfiguration, _LOGIN),
    "3D": (BadConfiguration, _DATABASE),
    "3F": (BadConfiguration, "no schema to create tables in: set search_path of the user"),
    "40": (SinkUnavailable, _CONFLICT),
    "42": (BadConfiguration, _SCHEMA),
    "42501": (BadConfiguration, _GRANT),
    "53": (SinkUnavailable, _FULL),
    "53400": (BadConfiguration, "raise this limit of the server for its user"),
    "55": (BadConfiguration, _SCHEMA),
    "55006": (SinkUnavailable, _CONFLICT),
    "55P03": (SinkUnavailable, _CONFLICT),
    "57": (SinkUnavailable, _UNAVAILABLE),
    "57014": (SinkUnavailable, _CANCELLED),
    "57P04": (BadConfiguration, _DATABASE),
    "57P05": (SinkUnavailable, _IDLE),
    "58": (SinkUnavailable, _UNAVAILABLE),
    "XX": (SinkUnavailable, _UNAVAILABLE),
    "XX001": (BadConfiguration, _DAMAGED),
    "XX002": (BadConfiguration, _DAMAGED),
}
"""By SQLSTATE or its class (first two characters); any other code rejects the data."""

_SQLITE: dict[str, _Recovery] = {
    "AUTH": (BadConfiguration, _GRANT),
    "BUSY": (SinkUnavailable, _LOCKED),
    "CANTOPEN": (
        BadConfiguration,
        "the file cannot be opened: check its folder and its permissions",
    ),
    "CORRUPT": (BadConfiguration, "the file is damaged: restore it, or use another file"),
    "ERROR": (BadConfiguration, _SCHEMA),
    "FULL": (SinkUnavailable, _FULL),
    "IOERR": (SinkUnavailable, "the disk reports an I/O error"),
    "LOCKED": (SinkUnavailable, _LOCKED),
    "NOMEM": (SinkUnavailable, _FULL),
    "NOTADB": (BadConfiguration, "the file is not an SQLite database: use another file"),
    "PERM": (BadConfiguration, _NOT_WRITABLE),
    "PROTOCOL": (SinkUnavailable, _CONFLICT),
    "READONLY": (BadConfiguration, _NOT_WRITABLE),
    "SCHEMA": (SinkUnavailable, _CONFLICT),
}
"""By the second word of the code (SQLITE_BUSY_SNAPSHOT is BUSY); any other rejects the data."""

_CONNECTING: tuple[tuple[str, str], ...] = (
    (r"does not support SSL", "turn TLS on in the server, or set sslmode=prefer in the extra"),
    (
        r"SSL negotiation|authentication request",
        "this is no PostgreSQL server: check host and port",
    ),
    (r"pg_hba\.conf", "permit it in pg_hba.conf of the server, or change sslmode in the extra"),
    (
        r"certificate|private key|sslmode|SSL not in use|SSL error: .*(alert|version|protocol)",
        "check sslmode and the certificates that the extra of the connection names",
    ),
    (r'database ".*" does not exist|no such database', _DATABASE),
    (r"conversion between \w+ and \w+ is not supported", _ENCODING),
    (
        r"not currently accepting connections",
        "the database permits none: ALTER DATABASE … ALLOW_CONNECTIONS",
    ),
    (r"permission denied for database", "grant its user CONNECT on the database"),
    (r"authentication failed|no password supplied|does not exist|not permitted", _LOGIN),
    (
        r"could not translate host name|Name or service not known|No address associated",
        "check host of the connection",
    ),
    (
        r"invalid|unrecognized|unsupported|not found|require|permission denied|cannot be changed",
        _OPTIONS,
    ),
)
"""libpq reports a failed connection as text without a code: these need manual action, the first one that
is found counts. Any other text is that of a transient error, also one in another language than English."""


@contextmanager
def database_errors(connection_id: str, table: str = "") -> Iterator[None]:
    """Translate errors of psycopg, sqlite3 and SQLAlchemy inside the block, connecting included.

    The messages name the connection and, if given, the table.

    Raises:
        BadConfiguration: Login, permissions, file or existing tables are wrong.
        SinkUnavailable: The database is unavailable, out of space or locked.
        Inconsistent: The database rejects the rows.
    """
    try:
        yield
    except (sqlite3.Error, psycopg.Error, OverflowError, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        what = f"{connection_id}, table {table!r}" if table else connection_id
        if not isinstance(cause, psycopg.Error):
            raise _of_sqlite(cause, what) from cause
        translated = _of_postgres(cause, what)
        if cause.sqlstate is None and not isinstance(cause, psycopg.OperationalError):
            # libpq quotes parts of a connection string that it cannot parse: maybe the password.
            raise translated from None
        raise translated from cause


def _of_postgres(error: psycopg.Error, what: str) -> FanfoldError:
    state = error.sqlstate
    if state is not None:
        kind, hint = _POSTGRES.get(state) or _POSTGRES.get(state[:2]) or (Inconsistent, _DATA)
        if state == "23514" and not error.diag.constraint_name:
            hint = _PARTITION
        if state == "42501" and "row-level security" in str(error):
            hint = _POLICY
        if state == "08P01" and "statement pooling" in str(error):  # of pgbouncer
            kind, hint = BadConfiguration, _POOLING
        # Only the first line: the details may contain rows.
        reason = (error.diag.message_primary or type(error).__name__).splitlines()[0][:200]
        return kind(f"{what}: {reason} (SQLSTATE {state}); {hint}.")
    if not isinstance(error, psycopg.OperationalError):
        return BadConfiguration(f"{what}: psycopg rejects the connection; {_OPTIONS}.")
    # It names host, port, user and database, but never the password.
    text = str(error).partition("\n")[0].removeprefix("connection failed: ")
    reason = text.partition(" failed: ")[2] or text  # without the name of the host
    for pattern, hint in _CONNECTING:
        if re.search(pattern, reason):
            return BadConfiguration(f"{what}: {text}; {hint}.")
    return SinkUnavailable(f"{what}: {text}; {_UNAVAILABLE}.")


def _of_sqlite(error: BaseException | None, what: str) -> FanfoldError:
    name = getattr(error, "sqlite_errorname", None)
    if name is None:
        # The sqlite3 module itself rejects a value or a closed connection.
        return Inconsistent(f"{what}: sqlite3 rejects the call ({type(error).__name__}).")
    kind, hint = _SQLITE.get(name.split("_")[1]) or (Inconsistent, _DATA)
    return kind(f"{what}: SQLite returned {name}; {hint}.")
