"""Every way in which a database says no becomes an error that tells the caller what to do."""

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


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("08006", SinkUnavailable),  # connection failure
        ("0A000", BadConfiguration),  # feature not supported
        ("22021", Inconsistent),  # not in the character set
        ("23502", Inconsistent),  # not null
        ("23514", Inconsistent),  # check
        ("25006", BadConfiguration),  # read-only transaction
        ("28000", BadConfiguration),  # login
        ("28P01", BadConfiguration),  # password
        ("3D000", BadConfiguration),  # no such database
        ("3F000", BadConfiguration),  # no such schema
        ("40001", SinkUnavailable),  # serialization
        ("40P01", SinkUnavailable),  # deadlock
        ("42501", BadConfiguration),  # rights
        ("42703", BadConfiguration),  # no such column
        ("42804", BadConfiguration),  # other type
        ("42P10", BadConfiguration),  # no such key
        ("44000", Inconsistent),  # check of a view
        ("53100", SinkUnavailable),  # disk
        ("53300", SinkUnavailable),  # connections
        ("55P03", SinkUnavailable),  # lock timeout
        ("57014", SinkUnavailable),  # cancelled, statement timeout
        ("57P01", SinkUnavailable),  # shut down
        ("57P03", SinkUnavailable),  # starting
        ("57P04", BadConfiguration),  # database dropped
        ("58030", SinkUnavailable),  # disk does not answer
        ("XX000", SinkUnavailable),  # internal
    ],
)
def test_a_code_of_postgres_decides_what_to_do(state, expected):
    error = translated(psycopg.errors.lookup(state)("row of somebody"))
    assert type(error) is expected
    assert state in str(error)
    assert "somebody" not in str(error)


@pytest.mark.parametrize("state", sorted(psycopg.errors._sqlcodes))
def test_no_code_of_postgres_gets_through(state):
    assert isinstance(translated(psycopg.errors.lookup(state)()), FanfoldError)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('FATAL:  password authentication failed for user "x"', BadConfiguration),
        ('FATAL:  database "x" does not exist', BadConfiguration),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', BadConfiguration),
        ("fe_sendauth: no password supplied", BadConfiguration),
        ("server does not support SSL, but SSL was required", BadConfiguration),
        ('could not translate host name "x" to address', BadConfiguration),
        ("Connection refused", SinkUnavailable),
        ("connection timeout expired", SinkUnavailable),
        ("FATAL:  the database system is starting up", SinkUnavailable),
        ("server closed the connection unexpectedly", SinkUnavailable),
    ],
)
def test_a_connection_that_fails_is_judged_by_what_libpq_says(said, expected):
    assert type(translated(psycopg.OperationalError(said))) is expected


def test_a_connection_string_that_cannot_be_parsed_is_not_repeated():
    """libpq quotes what it does not understand, and that may be the password."""
    with pytest.raises(BadConfiguration) as caught, database_errors("the_warehouse"):
        psycopg.connect("host=127.0.0.1 streng geheim")
    assert "streng" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SQLITE_AUTH", BadConfiguration),
        ("SQLITE_BUSY", SinkUnavailable),
        ("SQLITE_BUSY_SNAPSHOT", SinkUnavailable),
        ("SQLITE_CANTOPEN_ISDIR", BadConfiguration),
        ("SQLITE_CONSTRAINT_NOTNULL", Inconsistent),
        ("SQLITE_CORRUPT", BadConfiguration),
        ("SQLITE_ERROR", BadConfiguration),
        ("SQLITE_FULL", SinkUnavailable),
        ("SQLITE_IOERR_WRITE", SinkUnavailable),
        ("SQLITE_LOCKED_SHAREDCACHE", SinkUnavailable),
        ("SQLITE_MISMATCH", Inconsistent),
        ("SQLITE_NOMEM", SinkUnavailable),
        ("SQLITE_NOTADB", BadConfiguration),
        ("SQLITE_PERM", BadConfiguration),
        ("SQLITE_PROTOCOL", SinkUnavailable),
        ("SQLITE_READONLY_DIRECTORY", BadConfiguration),
        ("SQLITE_SCHEMA", SinkUnavailable),
        ("SQLITE_TOOBIG", Inconsistent),
        ("SQLITE_UNKNOWN", Inconsistent),
    ],
)
def test_a_code_of_sqlite_decides_what_to_do(name, expected):
    error = sqlite3.OperationalError("row of somebody")
    error.sqlite_errorname = name
    ours = translated(error)
    assert type(ours) is expected
    assert name in str(ours)
    assert "somebody" not in str(ours)


def test_a_call_that_the_sqlite3_module_refuses_is_an_inconsistency():
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(Inconsistent, match="ProgrammingError"), database_errors("the_warehouse"):
        connection.execute("SELECT 1")


def test_an_error_of_our_own_passes_as_it_is():
    ours = Inconsistent("the_warehouse: as it is")
    assert translated(ours) is ours
