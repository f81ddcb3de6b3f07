"""Databases that are unavailable for a while: errors are retriable, and a retry succeeds."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

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


class Postgres:
    """A server of Debian's Postgres that can be stopped and started again on its port."""

    def __init__(self, binaries, home, user):
        self.binaries, self.home, self.user = binaries, home, user
        self.password = secrets.token_urlsafe(16)
        self.running = False
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        secret = home / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        self._run("initdb", "-U", "fanfold", "--pwfile", str(secret), "-A", "scram-sha-256")
        secret.unlink()

    def _run(self, name, *options):
        command = [str(self.binaries / name), "-D", str(self.home / "data"), *options]
        subprocess.run(
            command, user=self.user, cwd=self.home, stdout=subprocess.DEVNULL, check=True
        )

    def start(self):
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.home,
            "fsync": "off",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run("pg_ctl", "-w", "-l", str(self.home / "log"), "-o", options, "start")
        self.running = True

    def stop(self, mode="immediate"):
        """Stop it like a crash (``immediate``) or a shutdown (``fast``)."""
        if self.running:
            self._run("pg_ctl", "-m", mode, "-w", "stop")
            self.running = False

    @contextlib.contextmanager
    def guarded(self):
        """Stop the server at the end of the block, also if the tests are killed."""
        command = ["sh", "-c", 'read -r _; "$0" -D "$1" -m immediate stop 2>/dev/null || true']
        arguments = [str(self.binaries / "pg_ctl"), str(self.home / "data")]
        with subprocess.Popen(
            [*command, *arguments], user=self.user, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ):
            yield self

    def connect(self, **options):
        parameters = {"user": "fanfold", "password": self.password, "dbname": "postgres"}
        return psycopg.connect(host="127.0.0.1", port=self.port, **parameters, **options)

    def query(self, statement):
        with self.connect() as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def installed():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        reason = "Postgres is not installed: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # initdb does not run as root: the server runs as the user of Debian's package.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="fanfold-outages-") as folder:
        home = Path(folder)
        if user:
            shutil.chown(home, user)
        with Postgres(found[-1].parent, home, user).guarded() as server:
            yield server


@pytest.fixture
def postgres(installed):
    """A running server without tables."""
    installed.stop()
    installed.start()
    with installed.connect(autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS user_profiles, fanfold_runs")
    return installed


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

    url = f"postgresql://fanfold:{postgres.password}@127.0.0.1:{postgres.port}/postgres"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", url)

    def run():
        with connections.warehouse() as connection:
            return load(connection, *dataset, TARGETS, "warehouse_default")[0]

    return run


def counted(postgres):
    return postgres.query(
        "SELECT (SELECT count(*) FROM user_profiles), (SELECT count(*) FROM fanfold_runs)"
    )[0]


@pytest.mark.parametrize("minutes", [0.5, 10])
def test_a_stopped_server_is_retried_until_it_runs(loaded, postgres, retried, clock, minutes):
    postgres.stop()

    def restart(_):
        if clock.now >= minutes * 60 and not postgres.running:
            postgres.start()

    result, errors = retried(loaded, between=restart)
    assert result.written == ROWS
    assert errors
    assert all("check that it runs" in str(error) for error in errors)
    assert counted(postgres) == (ROWS, 1)


@pytest.mark.parametrize("mode", ["immediate", "fast"])
@pytest.mark.parametrize("moment", ["COPY", "INSERT"])
def test_a_server_that_stops_during_a_load_rolls_back(
    loaded, postgres, retried, clock, monkeypatch, request, mode, moment
):
    """It stops after some of the rows are sent, or between the upsert and the commit."""
    write_csv = staging.pa_csv.write_csv
    calls = []

    def copying(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            postgres.stop(mode)
        return write_csv(*arguments)

    def inserted(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO user_profiles") and not calls:
            calls.append(statement)
            postgres.stop(mode)

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
