"""The preflight check of the database runs every statement and changes nothing."""

import sqlite3
from contextlib import closing, nullcontext
from datetime import UTC, datetime

import pytest

from fanfold.errors import BadConfiguration, FanfoldError, SinkUnavailable
from fanfold.stages.loading import TargetTable, check_database, database_errors

from .conftest import SCHEMA

CONNECTION = "warehouse_default"
TARGETS = (TargetTable("by_day", ("day",)), TargetTable("user_profiles", ("source", "user_id")))
ROWS = [{"source": "weibo", "user_id": "1", "created_at": datetime(2012, 1, 1, tzinfo=UTC)}]


def tables(warehouse):
    if warehouse.kind == "sqlite":
        return warehouse.query("SELECT name FROM sqlite_master")
    return warehouse.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


def test_the_check_leaves_nothing_behind_and_changes_no_row(warehouse, make_dataset):
    with warehouse.connect() as connection:
        check_database(connection, TARGETS, CONNECTION)
        check_database(connection, TARGETS, CONNECTION)
    assert tables(warehouse) == []
    warehouse.load(make_dataset(ROWS))
    before = warehouse.everything()
    with warehouse.connect() as connection:
        check_database(connection, TARGETS, CONNECTION)
    assert warehouse.everything() == before


def test_a_table_without_the_key_is_found_before_the_run_and_named(warehouse):
    warehouse.run("CREATE TABLE user_profiles (source text, user_id text)")
    named = r"warehouse_default, table 'user_profiles': .* other columns"
    with warehouse.connect() as connection, pytest.raises(BadConfiguration, match=named):
        check_database(connection, TARGETS, CONNECTION)


def test_a_table_with_another_key_is_refused_with_both_unless_the_key_is_unique_in_it(warehouse):
    warehouse.run("CREATE TABLE user_profiles (source text, user_id text PRIMARY KEY)")
    named = r"has the key \(user_id\), and the pipeline \(source, user_id\)\. Rename it"
    with warehouse.connect() as connection, pytest.raises(BadConfiguration, match=named):
        check_database(connection, TARGETS, CONNECTION)
    warehouse.run("CREATE UNIQUE INDEX pair ON user_profiles (user_id, source)")
    with warehouse.connect() as connection:
        check_database(connection, TARGETS, CONNECTION)


FOREIGN = [
    ("owner text NOT NULL", "column 'owner' is NOT NULL without a default"),
    ("owner text NOT NULL DEFAULT 'x', n int GENERATED ALWAYS AS (1) STORED NOT NULL", None),
    ("name text GENERATED ALWAYS AS (user_id) STORED", "(428C9|SQLITE_ERROR).*other columns"),
]


@pytest.mark.parametrize(("column", "message"), FOREIGN)
def test_columns_that_the_pipeline_does_not_fill_are_found_before_the_run(
    warehouse, make_dataset, column, message
):
    warehouse.run(
        f"CREATE TABLE user_profiles (source text, user_id text, {column}, "
        "PRIMARY KEY (source, user_id))"
    )
    dataset = make_dataset(ROWS)
    refused = pytest.raises(BadConfiguration, match=message) if message else nullcontext()
    with warehouse.connect() as connection:
        with refused:
            check_database(
                connection, dataset.targets, CONNECTION, schemas={"user_profiles": SCHEMA}
            )
        with pytest.raises(FanfoldError) if message else nullcontext():
            dataset.load(connection)


def test_a_locked_sqlite_file_is_retriable(sqlite_warehouse, make_dataset):
    dataset = make_dataset(ROWS)
    with sqlite_warehouse.connect() as other, sqlite_warehouse.connect(timeout=0.01) as connection:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkUnavailable, match="SQLITE_BUSY"):
            check_database(connection, TARGETS, CONNECTION)
        with pytest.raises(SinkUnavailable, match="SQLITE_BUSY"):
            dataset.load(connection)


def test_an_sqlite_file_that_cannot_be_used_is_a_configuration_error(tmp_path):
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("a text, not a database\n" * 100)
    for uri, message in {
        "empty.db?mode=ro": "my_file.*: SQLite returned SQLITE_READONLY",
        "text.db": "not an SQLite database",
        "absent/warehouse.db": "check its folder",
    }.items():
        with (
            pytest.raises(BadConfiguration, match=message),
            database_errors("my_file"),
            closing(sqlite3.connect(f"file:{tmp_path}/{uri}", uri=True)) as connection,
        ):
            check_database(connection, TARGETS, "my_file")
