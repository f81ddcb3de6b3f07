"""Only with PostgreSQL: terminated connections, permissions, logins."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime

import psycopg
import pytest

from fanfold.errors import BadConfiguration, Inconsistent, SinkUnavailable
from fanfold.stages.loading import TargetTable, check_database, database_errors

from .conftest import SCHEMA

TARGETS = (TargetTable("user_profiles", ("source", "user_id")),)
DAG = "weibo_user_profiles"


def users(name):
    return [{"source": "weibo", "user_id": str(number), "name": name} for number in range(3)]


def test_a_terminated_connection_is_rolled_back_and_retriable(postgres_warehouse, make_dataset):
    """The load waits for another one, its rows staged; then its connection is terminated."""
    postgres_warehouse.load(make_dataset(users("old"), day=1))
    before = postgres_warehouse.everything()
    dataset = make_dataset(users("new"), day=2)

    def run():
        with postgres_warehouse.connect() as connection:
            dataset.load(connection)

    with (
        postgres_warehouse.connect() as other,
        postgres_warehouse.connect(autocommit=True) as observer,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtext('fanfold'), hashtext('user_profiles'))"
        )
        loading = pool.submit(run)
        while not observer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks "
            "WHERE locktype = 'advisory' AND NOT granted"
        ).fetchall():
            assert not loading.done()
        with pytest.raises(SinkUnavailable, match="57P01"):
            loading.result(timeout=30)
    assert postgres_warehouse.everything() == before
    assert postgres_warehouse.load(dataset).written == 3


@pytest.fixture
def stranger(postgres_database):
    """Parameters of a user with no other permission than to log in."""
    name = f"stranger_{postgres_database.dbname}"
    with postgres_database.connect(autocommit=True) as connection:
        connection.execute(f"CREATE USER {name} PASSWORD 'streng-geheim'")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield postgres_database.parameters(user=name, password="streng-geheim")
    with postgres_database.connect(autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {name}")
        connection.execute(f"DROP USER {name}")


def test_a_user_without_permissions_fails_the_check_and_may_load_with_those_to_write(
    stranger, postgres_warehouse, make_dataset
):
    with psycopg.connect(**stranger) as connection, pytest.raises(BadConfiguration) as caught:
        check_database(connection, TARGETS, "my_warehouse")
    message = str(caught.value)
    assert message.startswith("my_warehouse, table 'user_profiles': permission denied for schema")
    assert "grant its user CREATE" in message
    assert "geheim" not in message
    postgres_warehouse.load(make_dataset(users("old"), day=1))
    with psycopg.connect(**stranger) as connection, pytest.raises(BadConfiguration, match="42501"):
        check_database(connection, TARGETS, "warehouse_default")
    for table in ("user_profiles", "fanfold_runs"):
        postgres_warehouse.run(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {stranger['user']}")
    dataset = make_dataset(users("new"), day=2)
    with psycopg.connect(**stranger) as connection:
        check_database(connection, TARGETS, "warehouse_default")
        assert dataset.load(connection)[0].written == 3
        with pytest.raises(BadConfiguration, match=r"user_profiles.*42501.*grant its user"):
            check_database(connection, TARGETS, "warehouse_default", mode="merge", dag_id=DAG)
    postgres_warehouse.run(f"GRANT DELETE ON user_profiles TO {stranger['user']}")
    with psycopg.connect(**stranger) as connection:
        check_database(connection, TARGETS, "warehouse_default", mode="merge", dag_id=DAG)


def test_a_read_only_database_is_a_configuration_error(postgres_warehouse, make_dataset):
    dataset = make_dataset(users("old"))
    with postgres_warehouse.connect() as connection:
        connection.read_only = True
        with pytest.raises(BadConfiguration, match="point the connection to the primary"):
            check_database(connection, TARGETS, "warehouse_default")
        with pytest.raises(BadConfiguration, match="point the connection to the primary"):
            dataset.load(connection)


@pytest.mark.parametrize(
    ("wrong", "expected", "message"),
    [
        ({"password": "falsch-geheim"}, BadConfiguration, "check login and password"),
        ({"dbname": "nowhere"}, BadConfiguration, 'database "nowhere" does not exist; create'),
        ({"user": "nobody_here"}, BadConfiguration, "check login and password"),
        ({"sslmode": "require"}, BadConfiguration, "does not support SSL.*; turn TLS on"),
        ({"options": "-c bogus=1"}, BadConfiguration, 'parameter "bogus"; .*extra'),
        ({"port": 1}, SinkUnavailable, "port 1 failed: Connection refused"),
    ],
)
def test_a_connection_that_cannot_be_opened_is_classified(
    postgres_database, wrong, expected, message
):
    with pytest.raises(expected, match=message) as caught, database_errors("my_warehouse"):
        psycopg.connect(**postgres_database.parameters(**wrong))
    assert str(caught.value).startswith('my_warehouse: connection to server at "127.0.0.1"')
    assert "geheim" not in str(caught.value)
    assert postgres_database.password not in str(caught.value)


NAMES = ["José", "用户😀"]


def loaded_twice(warehouse, make_dataset, names, **options):
    """Load names on two days over connections with some options; return the stored ones."""
    for day in (1, 2):
        dataset = make_dataset([{**users(name)[0], "user_id": name} for name in names], day=day)
        with warehouse.connect(**options) as connection:
            check_database(connection, dataset.targets, "my_warehouse")
            dataset.load(connection)
    with warehouse.connect(client_encoding="UTF8") as connection:
        found = connection.execute("SELECT name FROM user_profiles WHERE name = user_id ORDER BY 1")
        return [name for (name,) in found]


@pytest.mark.parametrize("where", ["environment", "extra", "database", "role"])
def test_text_is_utf_8_whatever_the_encoding_of_the_session_is(
    postgres_warehouse, postgres_database, make_dataset, monkeypatch, where
):
    options = {"client_encoding": "LATIN1"} if where == "extra" else {}
    name, user = postgres_database.dbname, postgres_database.user
    match where:
        case "environment":
            monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        case "database":
            postgres_warehouse.run(f"ALTER DATABASE {name} SET client_encoding TO 'LATIN1'")
        case "role":
            postgres_warehouse.run(
                f"ALTER ROLE {user} IN DATABASE {name} SET client_encoding TO 'LATIN1'"
            )
    with postgres_warehouse.connect(**options) as connection:
        assert connection.info.encoding == "iso8859-1"
    assert loaded_twice(postgres_warehouse, make_dataset, NAMES, **options) == NAMES


def test_dates_are_read_whatever_the_style_of_the_session_is(
    postgres_warehouse, postgres_database, make_dataset
):
    postgres_warehouse.run(f"ALTER DATABASE {postgres_database.dbname} SET DateStyle TO 'German'")
    for day in (2, 1):
        result = postgres_warehouse.load(make_dataset(users("José"), day=day))
    assert (result.outdated, result.newest) == (3, "2026-03-02T00:00:00.000Z")


@pytest.mark.parametrize("postgres_database", ["SQL_ASCII"], indirect=True)
def test_a_database_without_an_encoding_holds_utf_8(postgres_warehouse, make_dataset):
    assert loaded_twice(postgres_warehouse, make_dataset, NAMES) == NAMES


@pytest.mark.parametrize("postgres_database", ["LATIN1", "EUC_CN"], indirect=True)
def test_a_database_that_cannot_hold_all_text_fails_the_check(postgres_warehouse, make_dataset):
    with (
        postgres_warehouse.connect() as connection,
        pytest.raises(BadConfiguration, match=r"my_warehouse: .* 22P05.*with ENCODING 'UTF8'"),
    ):
        check_database(connection, TARGETS, "my_warehouse")
    postgres_warehouse.load(make_dataset(users("Jose")))
    with pytest.raises(BadConfiguration, match="22P05"):
        postgres_warehouse.load(make_dataset(users("😀"), day=2))


class Pooled(psycopg.Connection):
    """A connection through a proxy that ignores SET."""

    def execute(self, query, *arguments, **options):
        return super().execute("SELECT 1" if "SET " in query else query, *arguments, **options)


def test_a_session_that_keeps_another_encoding_is_refused(postgres_database, make_dataset):
    parameters = postgres_database.parameters(client_encoding="LATIN1")
    dataset = make_dataset(users("José"))
    with (
        Pooled.connect(**parameters) as connection,
        pytest.raises(BadConfiguration, match="keeps the encoding iso8859-1"),
    ):
        dataset.load(connection)


KEYED = "(source text, user_id text, as_of timestamptz, PRIMARY KEY (source, user_id){})"
DATED = (
    "(source text, user_id text, as_of timestamptz, PRIMARY KEY (source, user_id, as_of)) "
    "PARTITION BY RANGE (as_of)"
)
UNUSABLE = [
    ("TABLE user_profiles (source text, user_id bigint, PRIMARY KEY (source, user_id))", "BIGINT"),
    ("TABLE user_profiles (source text, user_id uuid, PRIMARY KEY (source, user_id))", "42804"),
    ("TABLE user_profiles (source text, user_id char(9), PRIMARY KEY (source, user_id))", "CHAR"),
    (f"TABLE user_profiles {KEYED.format(', followers_to_friends real')}", "REAL"),
    (f"TABLE user_profiles {KEYED.format(', created_at date')}", "'created_at' has the type DATE"),
    (f"TABLE user_profiles {KEYED.format(' DEFERRABLE')}", "deferrable constraint"),
    ("VIEW user_profiles AS SELECT 'a' AS source, 'b' AS user_id", "42809"),
    ("MATERIALIZED VIEW user_profiles AS SELECT 'a' AS source, 'b' AS user_id", "42809"),
    ("SEQUENCE user_profiles", "42P07"),
]


@pytest.mark.parametrize(("sql", "message"), UNUSABLE)
def test_a_table_that_no_row_fits_is_found_before_the_run(postgres_warehouse, sql, message):
    postgres_warehouse.run(f"CREATE {sql}")
    with (
        postgres_warehouse.connect() as connection,
        pytest.raises(BadConfiguration, match=f"(?i:table) 'user_profiles'.*{message}"),
    ):
        check_database(connection, TARGETS, "my_warehouse", schemas={"user_profiles": SCHEMA})


@pytest.mark.parametrize(
    ("partition", "fits"),
    [
        ("", False),
        ("FOR VALUES FROM ('2020-01-01') TO ('2026-03-01 00:00+00')", False),
        ("FOR VALUES FROM ('2026-03-01 00:00+00') TO ('2026-04-01')", True),
        ("DEFAULT", True),
        ("FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY HASH (source)", False),
    ],
)
def test_the_partition_of_a_run_is_missed_before_it(
    postgres_warehouse, make_dataset, partition, fits
):
    postgres_warehouse.run(f"CREATE TABLE user_profiles {DATED}")
    if partition:
        postgres_warehouse.run(f"CREATE TABLE part PARTITION OF user_profiles {partition}")
    target = TargetTable("user_profiles", ("source", "user_id", "as_of"))
    dataset = make_dataset(users("a"), target=target)
    as_of = datetime(2026, 3, 1, tzinfo=UTC)
    with postgres_warehouse.connect() as connection:
        missed = pytest.raises(BadConfiguration, match="no partition takes rows with as_of = 2026")
        with nullcontext() if fits else missed:
            check_database(connection, [target], "w", schemas={target.name: SCHEMA}, as_of=as_of)
        with nullcontext() if fits else pytest.raises(Inconsistent, match="DEFAULT partition"):
            dataset.load(connection)


def test_a_table_without_partitions_takes_no_row(postgres_warehouse):
    postgres_warehouse.run(
        f"CREATE TABLE user_profiles {KEYED.format('')} PARTITION BY HASH (source)"
    )
    as_of = datetime(2026, 3, 1, tzinfo=UTC)
    with (
        postgres_warehouse.connect() as connection,
        pytest.raises(BadConfiguration, match="no partition takes rows"),
    ):
        check_database(connection, TARGETS, "w", schemas={"user_profiles": SCHEMA}, as_of=as_of)


def test_row_level_security_is_told_before_the_run(
    stranger, postgres_warehouse, make_dataset, caplog
):
    user = stranger["user"]
    postgres_warehouse.load(make_dataset(users("old")))
    postgres_warehouse.run(
        "ALTER TABLE user_profiles ENABLE ROW LEVEL SECURITY",
        f"GRANT SELECT, INSERT, UPDATE ON user_profiles, fanfold_runs TO {user}",
    )
    with psycopg.connect(**stranger) as connection:
        check_database(connection, TARGETS, "w", schemas={"user_profiles": SCHEMA})
        assert "'user_profiles' has row-level security" in caplog.text
        with pytest.raises(BadConfiguration, match=r"42501.*BYPASSRLS"):
            make_dataset(users("new"), day=2).load(connection)


def test_no_statement_is_prepared_in_the_session(postgres_warehouse, make_dataset):
    """With pgbouncer, another program's transaction may be next in it, and prepare one of the same name."""
    dataset = make_dataset(users("a"))
    with postgres_warehouse.connect() as connection:
        for _ in range(6):
            check_database(connection, TARGETS, "w", schemas={"user_profiles": SCHEMA})
            dataset.load(connection)
        prepared = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert prepared == (0,)


def test_partitions_by_other_columns_may_fit(postgres_warehouse, caplog):
    postgres_warehouse.run(
        f"CREATE TABLE user_profiles {KEYED.format('')} PARTITION BY LIST (source)",
        "CREATE TABLE part PARTITION OF user_profiles FOR VALUES IN ('100% :a')",
    )
    as_of = datetime(2026, 3, 1, tzinfo=UTC)
    with postgres_warehouse.connect() as connection:
        check_database(connection, TARGETS, "w", schemas={"user_profiles": SCHEMA}, as_of=as_of)
    assert "no DEFAULT partition" in caplog.text
