"""Load into real databases: inserted rows, updated rows, and rollback."""

import dataclasses
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import psycopg
import pyarrow as pa
import pytest

from fanfold.errors import BadConfiguration, Inconsistent
from fanfold.stages.loading import LoadResult, TargetTable, check_database, load


def user(number, **others):
    return {
        "source": "weibo",
        "user_id": str(number),
        "screen_name": f"用户{number}",
        "verified": False,
        "followers_count": number,
        "created_at": datetime(2012, 2, 29, 1, 2, 3, 456789, UTC),
        "born_on": date(1990, 12, 31),
        **others,
    }


def test_a_dataset_becomes_rows_and_its_run_a_row(warehouse, make_dataset):
    result = warehouse.load(make_dataset([user(1), user(2)]))
    assert result == LoadResult("user_profiles", 2, 0, 2, 2)
    assert warehouse.query(
        "SELECT source, user_id, screen_name, followers_count, name FROM user_profiles "
        "ORDER BY user_id"
    ) == [("weibo", "1", "用户1", 1, None), ("weibo", "2", "用户2", 2, None)]
    assert warehouse.query(
        "SELECT dag_id, run_id, status, planned, ok, missing, invalid, failed, requests, rows, "
        "rejected, code FROM fanfold_runs"
    ) == [
        ("weibo_user_profiles", "scheduled__2026-03-01", "complete", 3, 2, 1, 0, 0, 5, 2, 7, "c0de")
    ]


def test_times_are_kept_to_the_microsecond_in_utc(warehouse, make_dataset):
    warehouse.load(make_dataset([user(1)]))
    ((created, as_of, last, born),) = warehouse.query(
        "SELECT created_at, as_of, last_status_at, born_on FROM user_profiles"
    )
    ((logical, loaded),) = warehouse.query("SELECT logical_date, loaded_at FROM fanfold_runs")
    if warehouse.kind == "sqlite":
        assert created == "2012-02-29T01:02:03.456789Z"
        assert as_of == logical == "2026-03-01T00:00:00.000000Z"
        assert born == "1990-12-31"
        assert loaded.endswith("Z")
        assert warehouse.query("SELECT datetime(created_at) FROM user_profiles") == [
            ("2012-02-29 01:02:03",)
        ]
    else:
        assert created == datetime(2012, 2, 29, 1, 2, 3, 456789, UTC)
        assert as_of == logical == datetime(2026, 3, 1, tzinfo=UTC)
        assert born == date(1990, 12, 31)
    assert last is None


NASTY = [
    "=cmd()|' /C calc'!A0",
    "<script>alert(1)</script>",
    "'; DROP TABLE user_profiles; --",
    'a "quoted" word',
    "\\.",
    "\n\\.\n",
    "\\N",
    "NULL",
    "",
    " ",
    ",",
    "\r\n\t",
    "😀👩‍👩‍👧‍👦",
    "\u202etxet",
    "%s %(x)s {} $1 ?",
    "x" * 100_000,
]


def test_text_is_stored_unchanged(warehouse, make_dataset):
    texts = [*NASTY, None]
    warehouse.load(make_dataset([user(n, description=text) for n, text in enumerate(texts)]))
    found = warehouse.query("SELECT user_id, description FROM user_profiles")
    assert {int(key): text for key, text in found} == dict(enumerate(texts))


def test_nul_is_removed_from_text(warehouse, make_dataset):
    warehouse.load(make_dataset([user(1, description="be\x00fore", user_id="4\x002")]))
    assert warehouse.query("SELECT user_id, description FROM user_profiles") == [("42", "before")]


def test_categories_booleans_and_numbers_arrive(warehouse, make_dataset):
    warehouse.load(
        make_dataset(
            [user(1, gender="f", verified=True, followers_count=2**62, followers_to_friends=1e-300)]
        )
    )
    assert warehouse.query(
        "SELECT gender, verified, followers_count, followers_to_friends FROM user_profiles"
    ) == [("f", 1, 2**62, 1e-300)]


def test_loading_twice_changes_nothing(warehouse, make_dataset):
    dataset = make_dataset([user(1), user(2, description=None)])
    warehouse.load(dataset)
    before = warehouse.everything()
    assert warehouse.load(dataset) == LoadResult("user_profiles", 2, 0, 0, 2)
    assert warehouse.everything() == before


@pytest.mark.parametrize(
    ("day", "written", "two", "newer"),
    [(2, 2, 99, ()), (1, 1, 2, (1, "2026-03-02T00:00:00.000Z"))],
    ids=["newer", "older"],
)
def test_a_newer_run_replaces_rows_and_an_older_one_adds_missing_ones(
    warehouse, make_dataset, day, written, two, newer
):
    """Rows of an older run that are not written are counted, with the date of the newest row."""
    warehouse.load(make_dataset([user(1), user(2)], day=3 - day))
    rows = [user(2), user(2, followers_count=99), user(3)]
    result = warehouse.load(make_dataset(rows, day=day))
    counts = dict(zip(("outdated", "newest"), newer, strict=False))
    repeated = "source='weibo', user_id='2'"
    assert result == LoadResult("user_profiles", 3, 1, written, 3, repeated, **counts)
    warnings = [each.text for each in result.warnings if each.id == "load.outdated"]
    assert len(warnings) == len(newer) // 2
    assert all("1 of 3 rows was not written" in text for text in warnings)
    outdated = warehouse.query("SELECT sum(outdated) FROM fanfold_runs")
    assert outdated == [(len(newer) // 2,)]
    assert warehouse.query(
        "SELECT user_id, followers_count FROM user_profiles ORDER BY user_id"
    ) == [("1", 1), ("2", two), ("3", 3)]
    assert warehouse.query("SELECT count(*) FROM fanfold_runs") == [(2,)]


def test_the_same_run_may_load_a_better_outcome(warehouse, make_dataset):
    first = make_dataset([user(1)], attempt=0, failed=1)
    second = make_dataset([user(1, followers_count=5), user(2)], attempt=1)
    warehouse.load(first)
    assert warehouse.load(second).written == 2
    assert warehouse.query("SELECT ok, failed, rows FROM fanfold_runs") == [(2, 0, 2)]
    with warehouse.connect() as connection:
        _, runs = first.load(connection)
    assert (runs.table, runs.outdated, len(runs.warnings)) == ("fanfold_runs", 1, 1)
    assert warehouse.query("SELECT ok, failed, rows FROM fanfold_runs") == [(2, 0, 2)]


def test_of_two_rows_with_one_key_the_last_one_wins(warehouse, make_dataset):
    rows = [user(7, followers_count=number) for number in (1, 3, 2)]
    result = warehouse.load(make_dataset([*rows, user(8)]))
    assert result == LoadResult("user_profiles", 4, 2, 2, 2, "source='weibo', user_id='7'")
    (warning,) = result.warnings
    assert "2 of 4 rows were not loaded" in warning.text
    assert "for example source='weibo', user_id='7'" in warning.text
    assert warehouse.query("SELECT followers_count FROM user_profiles WHERE user_id = '7'") == [
        (2,)
    ]


def test_a_later_dataset_may_have_more_and_fewer_columns(warehouse, make_dataset):
    first = make_dataset([user(1, description="kept")], day=1)
    warehouse.load(first)
    schema = pa.schema(
        {
            "source": pa.string(),
            "user_id": pa.string(),
            'a "new"; 100%': pa.int64(),
            "as_of": pa.timestamp("us", "UTC"),
        }
    )
    rows = [{"source": "weibo", "user_id": key, 'a "new"; 100%': 5} for key in ("1", "2")]
    warehouse.load(make_dataset(rows, day=2, schema=schema))
    assert warehouse.query(
        'SELECT user_id, description, "a ""new""; 100%" FROM user_profiles ORDER BY user_id'
    ) == [("1", "kept", 5), ("2", None, 5)]


def test_names_of_tables_and_columns_are_never_sql(warehouse, make_dataset):
    name = 'x"; DROP TABLE fanfold_runs; --'
    key = "order; by %s"
    schema = pa.schema({key: pa.string(), "version": pa.int64(), "select": pa.string()})
    rows = pa.Table.from_pylist([{key: "a", "version": 1, "select": "from"}], schema=schema)
    dataset = make_dataset(rows, target=TargetTable(name, (key,), "version"))
    assert warehouse.load(dataset) == LoadResult(name, 1, 0, 1, 1)
    quoted = name.replace('"', '""')
    assert warehouse.query(f'SELECT * FROM "{quoted}"') == [("a", 1, "from")]
    assert warehouse.query("SELECT count(*) FROM fanfold_runs") == [(1,)]


def test_an_empty_dataset_makes_an_empty_table_and_a_row_for_the_run(warehouse, make_dataset):
    assert warehouse.load(make_dataset([])) == LoadResult("user_profiles", 0, 0, 0, 0)
    assert warehouse.query("SELECT rows FROM fanfold_runs") == [(0,)]


def test_a_damaged_dataset_is_rolled_back(warehouse, make_dataset):
    """The second half of the file is damaged: the first half was staged already."""
    warehouse.load(make_dataset([user(1)], day=1))
    before = warehouse.everything()
    texts = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(12_000)]
    dataset = make_dataset(
        [user(number, description=text) for number, text in enumerate(texts)], day=2
    )
    data = bytearray(dataset.path.read_bytes())
    middle = len(data) * 3 // 4
    data[middle : middle + 20_000] = b"\xff" * 20_000
    dataset.path.write_bytes(data)
    with pytest.raises(Inconsistent, match="file of 'user_profiles' is damaged"):
        warehouse.load(dataset)
    assert warehouse.everything() == before


def test_a_row_that_the_database_rejects_is_rolled_back(warehouse, make_dataset):
    warehouse.load(make_dataset([user(1)], day=1))
    if warehouse.kind == "sqlite":
        warehouse.run(
            "CREATE TRIGGER small BEFORE INSERT ON user_profiles WHEN NEW.followers_count > 9000 "
            "BEGIN SELECT RAISE(ABORT, 'too many'); END"
        )
    else:
        warehouse.run("ALTER TABLE user_profiles ADD CHECK (followers_count <= 9000)")
    before = warehouse.everything()
    with pytest.raises(
        Inconsistent, match=r"warehouse_default, table 'user_profiles': .* rejects the rows"
    ):
        warehouse.load(make_dataset([user(number) for number in range(9_100)], day=2))
    assert warehouse.everything() == before


def test_rows_of_a_table_that_had_no_dates_are_replaced(warehouse, make_dataset):
    warehouse.run(
        "CREATE TABLE user_profiles (source text, user_id text, name text, "
        "PRIMARY KEY (source, user_id))",
        "INSERT INTO user_profiles VALUES ('weibo', '1', 'old')",
    )
    assert warehouse.load(make_dataset([user(1, name="new")])).written == 1
    assert warehouse.query("SELECT name FROM user_profiles") == [("new",)]


def test_a_table_with_other_columns_is_not_changed(warehouse, make_dataset):
    warehouse.run("CREATE TABLE user_profiles (id integer)", "INSERT INTO user_profiles VALUES (1)")
    named = "table 'user_profiles': .* a table or view of this name exists with other columns"
    with pytest.raises(BadConfiguration, match=named):
        warehouse.load(make_dataset([user(1)]))
    assert warehouse.query("SELECT * FROM user_profiles") == [(1,)]


DISCARDING = {
    "sqlite": [
        (
            "CREATE TRIGGER discard BEFORE INSERT ON user_profiles WHEN new.user_id = '1' "
            "BEGIN SELECT raise(IGNORE); END"
        )
    ],
    "postgres": [
        (
            "CREATE FUNCTION discard() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN IF new.user_id = ''1'' THEN RETURN NULL; END IF; RETURN new; END'"
        ),
        "CREATE TRIGGER discard BEFORE INSERT ON user_profiles FOR EACH ROW EXECUTE FUNCTION discard()",
    ],
}


@pytest.mark.parametrize("generation", [0, 1])
def test_a_table_that_discards_rows_without_a_word_fails_the_load(
    warehouse, make_dataset, generation
):
    table = "CREATE TABLE user_profiles (source text, user_id text, PRIMARY KEY (source, user_id))"
    warehouse.run(table, *DISCARDING[warehouse.kind])
    dataset = make_dataset([user(1), user(2)], generation=generation)
    with pytest.raises(Inconsistent, match=r"'user_profiles' lacks 1 of the rows .*a trigger"):
        warehouse.load(dataset)
    assert warehouse.query("SELECT * FROM user_profiles") == []


def test_a_file_that_does_not_match_the_manifest_is_rejected(warehouse, make_dataset):
    dataset = make_dataset([user(1)])
    other = make_dataset([user(1), user(2)], attempt=1)
    with pytest.raises(Inconsistent, match="has 1 rows, its manifest says 2"):
        warehouse.load(dataclasses.replace(dataset, manifest=other.manifest))
    dataset.path.write_bytes(b"not Parquet")
    with pytest.raises(Inconsistent, match="cannot be read"):
        warehouse.load(dataset)
    dataset.path.unlink()
    with pytest.raises(Inconsistent, match="cannot be read"):
        warehouse.load(dataset)


@pytest.mark.parametrize("automatic", [False, True])
def test_the_connection_may_have_a_row_factory_autocommit_and_an_open_transaction(
    warehouse, make_dataset, automatic
):
    if warehouse.kind == "sqlite":
        options = {"isolation_level": None if automatic else ""}
    else:
        options = {"autocommit": automatic}
    broken = make_dataset([user(2, as_of=None)])
    dataset = make_dataset([user(1)], day=2)
    with warehouse.connect(**options) as connection:
        connection.row_factory = _dict_row(warehouse.kind)
        connection.execute("CREATE TABLE pending (x integer)")
        connection.execute("INSERT INTO pending VALUES (1)")
        check_database(connection, dataset.targets, "warehouse_default")
        assert warehouse.query("SELECT x FROM pending") == [(1,)]
        with pytest.raises(Inconsistent):
            broken.load(connection)
        assert dataset.load(connection)[0].rows_in_table == 1
        # Visible to others while the connection is still open: it was committed.
        assert warehouse.query("SELECT user_id FROM user_profiles") == [("1",)]


def _dict_row(kind):
    """Return a row factory whose rows have no positions."""
    if kind == "postgres":
        return psycopg.rows.dict_row
    return lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }


def test_any_other_object_than_a_connection_is_named(make_dataset):
    dataset = make_dataset([user(1)])
    with pytest.raises(
        BadConfiguration, match=r"my_db gives a builtins\.str; load needs PostgreSQL"
    ):
        load("sqlite://", dataset.folder, dataset.manifest, dataset.targets, "my_db")


def test_a_hundred_thousand_rows_stream_through(warehouse, make_dataset, record_property):
    """10 s a load is several times what an idle machine takes."""
    count = 100_000
    numbers = pa.array(range(count))
    rows = {
        "source": pa.array(["weibo"] * count),
        "user_id": numbers.cast(pa.string()),
        "description": pa.array([f'第 {number} 个用户\n"说"' * 4 for number in range(count)]),
        "followers_count": numbers,
        "as_of": pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * count, pa.timestamp("us", "UTC")),
    }
    dataset = make_dataset(pa.table(rows))
    seconds = []
    for written in (count, 0):
        start = time.perf_counter()
        assert warehouse.load(dataset) == LoadResult("user_profiles", count, 0, written, count)
        seconds.append(time.perf_counter() - start)
    record_property("seconds", seconds)
    assert max(seconds) < 10


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_concurrent_runs_the_newer_one_wins(warehouse, make_dataset, attempt):
    """Both create the tables and update the same rows, in opposite order; one waits."""
    older = make_dataset([user(n, name="older") for n in range(3_000)], day=1)
    newer = make_dataset([user(n, name="newer") for n in reversed(range(3_000))], day=2)
    together = threading.Barrier(2)

    def run(dataset):
        with warehouse.connect() as connection:
            together.wait(timeout=30)
            return dataset.load(connection)[0]

    with ThreadPoolExecutor(2) as pool:
        datasets = [older, newer] if attempt % 2 else [newer, older]
        results = list(pool.map(run, datasets, timeout=60))
    assert {result.rows_in_table for result in results} == {3_000}
    assert warehouse.query("SELECT name, count(*) FROM user_profiles GROUP BY 1") == [
        ("newer", 3_000)
    ]
    assert warehouse.query("SELECT count(*) FROM fanfold_runs") == [(2,)]
