"""Only with PostgreSQL: terminated connections, permissions, logins."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from fanfold.errors import BadConfiguration, SinkUnavailable
from fanfold.stages.loading import TargetTable, check_database, database_errors

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
    assert message.startswith("my_warehouse: permission denied for schema public")
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
    ("wrong", "expected"),
    [
        ({"password": "falsch-geheim"}, BadConfiguration),
        ({"dbname": "no_such_database"}, BadConfiguration),
        ({"user": "nobody_here"}, BadConfiguration),
        ({"port": 1}, SinkUnavailable),
    ],
)
def test_a_connection_that_cannot_be_opened_is_classified(postgres_database, wrong, expected):
    with pytest.raises(expected) as caught, database_errors("my_warehouse"):
        psycopg.connect(**postgres_database.parameters(**wrong))
    assert str(caught.value).startswith("my_warehouse: ")
    assert "geheim" not in str(caught.value)
    assert postgres_database.password not in str(caught.value)
