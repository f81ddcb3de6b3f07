"""The check before a run: it tries everything, leaves nothing, and names what is wrong."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from fanfold.errors import BadConfiguration, SinkUnavailable
from fanfold.stages.loading import check_database, database_errors, load

ROWS = [{"source": "weibo", "user_id": "1", "created_at": datetime(2012, 1, 1, tzinfo=UTC)}]


def tables(warehouse):
    if warehouse.kind == "sqlite":
        return warehouse.query("SELECT name FROM sqlite_master")
    return warehouse.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


def test_the_check_leaves_nothing_behind(warehouse):
    with warehouse.connect() as connection:
        check_database(connection)
        check_database(connection)
    assert tables(warehouse) == []


def test_the_check_changes_no_row(warehouse, make_dataset):
    warehouse.load(make_dataset(ROWS))
    before = warehouse.everything()
    with warehouse.connect() as connection:
        check_database(connection)
    assert warehouse.everything() == before


def test_a_table_without_the_key_is_found_before_the_run(warehouse):
    warehouse.run("CREATE TABLE user_profiles (source text, user_id text)")
    with warehouse.connect() as connection, pytest.raises(BadConfiguration, match="other columns"):
        check_database(connection)


@pytest.fixture
def locked(sqlite_warehouse):
    """The warehouse while somebody writes to it."""
    with sqlite_warehouse.connect() as other:
        other.execute("BEGIN IMMEDIATE")
        yield sqlite_warehouse


def test_a_locked_sqlite_file_is_worth_a_retry(locked, make_dataset):
    dataset = make_dataset(ROWS)
    with locked.connect(timeout=0.01) as connection:
        with pytest.raises(SinkUnavailable, match="SQLITE_BUSY"):
            check_database(connection)
        with pytest.raises(SinkUnavailable, match="SQLITE_BUSY"):
            load(connection, dataset.path, dataset.manifest)


def test_a_read_only_sqlite_file_is_told(tmp_path):
    path = tmp_path / "read-only.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE x (y)")
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection,
        pytest.raises(BadConfiguration, match="my_file: SQLite returned SQLITE_READONLY"),
    ):
        check_database(connection, connection_id="my_file")


def test_a_file_that_is_no_database_is_told(tmp_path):
    path = tmp_path / "text.db"
    path.write_text("this is a text and no database\n" * 100)
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(BadConfiguration, match="not an SQLite database"),
    ):
        check_database(connection)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with (
        pytest.raises(BadConfiguration, match="check its folder"),
        database_errors("warehouse_default"),
    ):
        sqlite3.connect(tmp_path / "absent" / "warehouse.db")
