"""Databases that are unavailable for a while: errors are retriable, and a retry succeeds."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, event

from fanfold.errors import SinkUnavailable
from fanfold.model import Counts, FileEntry, Manifest, RunStatus
from fanfold.stages.loading import TargetTable, load, staging

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

ROWS = 30_000
TARGETS = (TargetTable("user_profiles", ("source", "user_id")),)
SCHEMA = pa.schema(
    {
        "source": pa.string(),
        "user_id": pa.string(),
        "name": pa.string(),
        "as_of": pa.timestamp("us", "UTC"),
    }
)


@pytest.fixture
def postgres(unsteady_postgres):
    """A running server without tables."""
    unsteady_postgres.stop()
    unsteady_postgres.start()
    with unsteady_postgres.server.connect(autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS user_profiles, fanfold_runs")
    return unsteady_postgres


@pytest.fixture
def dataset(tmp_path):
    """A dataset whose COPY takes several writes, and its manifest."""
    as_of = datetime(2026, 3, 1, tzinfo=UTC)
    table = pa.table(
        {
            "source": ["weibo"] * ROWS,
            "user_id": [str(number) for number in range(ROWS)],
            "name": ["x" * 200] * ROWS,
            "as_of": pa.array([as_of] * ROWS, pa.timestamp("us", "UTC")),
        },
        schema=SCHEMA,
    )
    path = tmp_path / "user_profiles.parquet"
    pq.write_table(table, path, row_group_size=5_000)
    manifest = Manifest(
        dag_id="weibo_user_profiles",
        run_id="manual__1",
        logical_date=as_of.isoformat(),
        status=RunStatus.COMPLETE,
        counts=Counts(planned=ROWS, ok=ROWS),
        files=(FileEntry(path.name, "parquet", ROWS, 0, "", "user_profiles"),),
        requests=ROWS,
        started_at=as_of.isoformat(),
        finished_at=as_of.isoformat(),
    )
    return tmp_path, manifest


@pytest.fixture
def loaded(airflow_home, monkeypatch, postgres, dataset):
    """Return a function that does what the task ``load`` does."""
    assert airflow_home.is_dir()
    from fanfold.airflow import connections

    server = postgres.server
    url = f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}/postgres"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", url)

    def run():
        with connections.warehouse() as connection:
            return load(connection, *dataset, TARGETS, "warehouse_default")[0]

    return run


def counted(postgres):
    return postgres.query(
        "SELECT (SELECT count(*) FROM user_profiles), (SELECT count(*) FROM fanfold_runs)"
    )[0]


def test_a_stopped_server_is_retried_until_it_runs(loaded, postgres, retried, clock):
    postgres.stop()

    def restart(_):
        if clock.now >= 600 and not postgres.running:
            postgres.start()

    result, errors = retried(loaded, between=restart)
    assert result.written == ROWS
    assert errors
    assert all("check that it runs" in str(error) for error in errors)
    assert counted(postgres) == (ROWS, 1)


@pytest.mark.parametrize(("moment", "kind"), [("COPY", signal.SIGQUIT), ("INSERT", signal.SIGINT)])
def test_a_server_that_stops_during_a_load_rolls_back(
    loaded, postgres, retried, clock, monkeypatch, request, moment, kind
):
    """It stops after some of the rows are sent, or between the upsert and the commit."""
    write_csv = staging.pa_csv.write_csv
    calls = []

    def copying(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            postgres.stop(kind)
        return write_csv(*arguments)

    def inserted(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO user_profiles") and not calls:
            calls.append(statement)
            postgres.stop(kind)

    if moment == "COPY":
        monkeypatch.setattr(staging.pa_csv, "write_csv", copying)
    else:
        event.listen(Engine, "after_cursor_execute", inserted)
        request.addfinalizer(lambda: event.remove(Engine, "after_cursor_execute", inserted))
    seen = []

    def restart(_):
        if not postgres.running:
            postgres.start()
            seen.extend(postgres.query("SELECT to_regclass('user_profiles')"))

    result, errors = retried(loaded, between=restart)
    assert [type(error) for error in errors] == [SinkUnavailable]
    assert seen == [(None,)]
    assert result.written == ROWS
    assert counted(postgres) == (ROWS, 1)
    assert loaded().written == 0
    assert clock.now < 15


def test_libpq_gets_timeouts_that_detect_a_lost_server(loaded, postgres, monkeypatch):
    """They are defaults for options that the connection's extra does not set."""
    parameters = []
    connect = psycopg.Connection.connect

    def noted(*arguments, **options):
        parameters.append(options)
        return connect(*arguments, **options)

    monkeypatch.setattr(psycopg.Connection, "connect", noted)
    loaded()
    assert parameters[0]["connect_timeout"] == 10
    assert parameters[0]["tcp_user_timeout"] == 60_000
    assert counted(postgres) == (ROWS, 1)
