"""Every error of a database is translated, by what the caller can do about it."""

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
    BadConfiguration: "0A000 25006 28000 28P01 3D000 3F000 42501 42703 42804 42P10 57P04",
    Inconsistent: "22021 23502 23514 44000",
    SinkUnavailable: "08006 40001 40P01 53100 53300 55P03 57014 57P01 57P03 58030 XX000",
}


@pytest.mark.parametrize("expected", POSTGRES)
def test_a_sqlstate_gives_the_kind_of_error_and_no_row(expected):
    for state in POSTGRES[expected].split():
        error = translated(psycopg.errors.lookup(state)("a row"))
        assert type(error) is expected, state
        assert f"SQLSTATE {state}" in str(error)
        assert "a row" not in str(error)


def test_every_sqlstate_of_psycopg_is_translated():
    states = psycopg.errors._sqlcodes
    assert len(states) > 200
    for state in states:
        assert "(SQLSTATE " in str(translated(psycopg.errors.lookup(state)())), state


LIBPQ = {
    BadConfiguration: [
        'FATAL:  password authentication failed for user "x"',
        'FATAL:  database "x" does not exist',
        'FATAL:  no pg_hba.conf entry for host "10.0.0.1"',
        "fe_sendauth: no password supplied",
        "server does not support SSL, but SSL was required",
        'could not translate host name "x" to address',
    ],
    SinkUnavailable: [
        "Connection refused",
        "connection timeout expired",
        "FATAL:  the database system is starting up",
        "server closed the connection unexpectedly",
    ],
}


@pytest.mark.parametrize("expected", LIBPQ)
def test_a_failed_connection_is_classified_by_libpqs_text(expected):
    for text in LIBPQ[expected]:
        assert type(translated(psycopg.OperationalError(text))) is expected, text


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
