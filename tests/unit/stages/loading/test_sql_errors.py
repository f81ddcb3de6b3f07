"""Every error of a database is translated, by what the caller can do about it."""

import re
import sqlite3

import psycopg
import pytest

from fanfold.errors import BadConfiguration, FanfoldError, Inconsistent, SinkUnavailable
from fanfold.stages.loading import database_errors


def translated(error):
    with pytest.raises(FanfoldError) as caught, database_errors("the_warehouse"):
        raise error
    assert str(caught.value).startswith("the_warehouse: ")
    return caught.value


POSTGRES = {
    BadConfiguration: (
        "0A000 22021 22P05 25006 28000 28P01 3D000 3F000 42501 42703 42804 428C9 42P10 53400 55000 "
        "55P02 57P04 XX001 XX002"
    ),
    Inconsistent: "23502 23514 44000",
    SinkUnavailable: (
        "08006 25P03 25P04 40001 40P01 53100 53300 55006 55P03 57014 57P01 57P03 57P05 58030 XX000"
    ),
}


@pytest.mark.parametrize("expected", POSTGRES)
def test_a_sqlstate_gives_the_kind_of_error_and_no_row(expected):
    for state in POSTGRES[expected].split():
        error = translated(psycopg.errors.lookup(state)("a row"))
        assert type(error) is expected, state
        assert f"SQLSTATE {state}" in str(error)
        assert "a row" not in str(error)


@pytest.mark.parametrize(
    ("state", "text", "kind", "hint"),
    [
        (
            "08P01",
            "transaction blocks not allowed in statement pooling mode",
            BadConfiguration,
            "pool",
        ),
        ("08P01", "query_wait_timeout", SinkUnavailable, "check that it runs"),
        (
            "42501",
            'new row violates row-level security policy for table "x"',
            BadConfiguration,
            "policy",
        ),
        (
            "57014",
            "canceling statement due to statement timeout",
            SinkUnavailable,
            "statement_timeout",
        ),
    ],
)
def test_the_way_out_depends_on_the_text_where_a_sqlstate_has_several(state, text, kind, hint):
    error = translated(psycopg.errors.lookup(state)(text))
    assert type(error) is kind
    assert hint in str(error).rpartition("; ")[2]


def test_every_sqlstate_of_psycopg_is_translated():
    states = psycopg.errors._sqlcodes
    assert len(states) > 200
    for state in states:
        assert "(SQLSTATE " in str(translated(psycopg.errors.lookup(state)())), state


SERVER = 'connection failed: connection to server at "invalid-db", port 5432 failed: '
LIBPQ = [
    ('FATAL:  password authentication failed for user "x"', "check login and password"),
    ('FATAL:  role "x" does not exist', "check login and password"),
    ("fe_sendauth: no password supplied", "check login and password"),
    ('FATAL:  database "x" does not exist', "create the database"),
    ("FATAL:  no such database: x", "create the database"),
    ('FATAL:  database "x" is not currently accepting connections', "ALLOW_CONNECTIONS"),
    (
        'FATAL:  no pg_hba.conf entry for host "10.0.0.1", no encryption',
        r"permit it in pg_hba\.conf",
    ),
    ('FATAL:  permission denied for database "x"', "grant its user CONNECT"),
    ("server does not support SSL, but SSL was required", "turn TLS on in the server"),
    ("SSL error: certificate verify failed", "check sslmode and the certificates"),
    ('private key file "/c.key" has group or world access', "check sslmode and the certificates"),
    ('root certificate file "/no/ca.crt" does not exist', "check sslmode and the certificates"),
    ("received invalid response to SSL negotiation: H", "this is no PostgreSQL server"),
    ("expected authentication request from server, but received H", "this is no PostgreSQL server"),
    ('could not translate host name "x" to address', "check host"),
    ('FATAL:  unrecognized configuration parameter "x"', "the options in the extra"),
    ('FATAL:  parameter "x" cannot be changed without restarting the server', "the options in"),
    ('invalid sslmode value: "x"', "check sslmode"),
    ('authentication method requirement "none" failed: server requested SASL', "the options in"),
    ('invalid port number: "99999"', "check host, port"),
    ("channel binding required, but SSL not in use", "check sslmode"),
    ('definition of service "x" not found', "the options in the extra"),
    ("FATAL:  conversion between UTF8 and MULE_INTERNAL is not supported", "ENCODING 'UTF8'"),
]
TRANSIENT = [
    "Connection refused",
    "connection timeout expired",
    "SSL connection has been closed unexpectedly",
    "SSL SYSCALL error: EOF detected",
    "failed to resolve host 'x': [Errno -3] Temporary failure in name resolution",
    "FATAL:  the database system is starting up",
    "FATAL:  sorry, too many clients already",
    "server closed the connection unexpectedly",
]


@pytest.mark.parametrize(("text", "hint"), LIBPQ)
def test_a_connection_that_needs_manual_action_is_named_with_the_way_out(text, hint):
    error = translated(psycopg.OperationalError(SERVER + text))
    assert type(error) is BadConfiguration
    assert f'"invalid-db", port 5432 failed: {text}; ' in str(error)
    assert re.search(hint, str(error).rpartition("; ")[2])


@pytest.mark.parametrize("text", TRANSIENT)
def test_any_other_failed_connection_is_transient(text):
    assert type(translated(psycopg.OperationalError(SERVER + text))) is SinkUnavailable


def test_a_connection_string_that_cannot_be_parsed_is_not_repeated():
    """libpq quotes what it cannot parse, which may be the password."""
    with pytest.raises(BadConfiguration) as caught, database_errors("the_warehouse"):
        psycopg.connect("host=127.0.0.1 streng geheim")
    assert "streng" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


SQLITE = {
    BadConfiguration: "AUTH CANTOPEN_ISDIR CORRUPT ERROR NOTADB PERM READONLY_DIRECTORY",
    Inconsistent: "CONSTRAINT_NOTNULL MISMATCH TOOBIG UNKNOWN",
    SinkUnavailable: (
        "BUSY BUSY_SNAPSHOT FULL IOERR_WRITE LOCKED_SHAREDCACHE NOMEM PROTOCOL SCHEMA"
    ),
}


@pytest.mark.parametrize("expected", SQLITE)
def test_a_result_code_of_sqlite_gives_the_kind_of_error_and_no_row(expected):
    for code in SQLITE[expected].split():
        error = sqlite3.OperationalError("a row")
        error.sqlite_errorname = f"SQLITE_{code}"
        ours = translated(error)
        assert type(ours) is expected, code
        assert f"SQLITE_{code};" in str(ours)
        assert "a row" not in str(ours)


def test_a_call_that_the_sqlite3_module_rejects_is_inconsistent():
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(Inconsistent, match="ProgrammingError"), database_errors("the_warehouse"):
        connection.execute("SELECT 1")


def test_an_error_of_fanfold_is_not_changed():
    ours = Inconsistent("the_warehouse: unchanged")
    assert translated(ours) is ours
