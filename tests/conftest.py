"""Real servers for tests: S3, Postgres and an Airflow home, once a session, isolated for each test."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".fanfold" / "tests"
"""Databases that are prepared once for the installed packages; ``make clean`` removes them."""
_POSTGRES = Path("/usr/lib/postgresql")
AIRFLOW = "airflow"
"""The database of the Postgres server that holds Airflow's migrated tables."""

SHARED = ("stack", "scheduled", "airflow_home")
"""Fixtures that take long to set up: one worker has all tests that use them."""
LONG = ("stack", "airflow_home", "scheduled", "tests/e2e/test_local_stack.py")
"""Groups that begin first, so that no worker is left with a long one at the end."""

settings.register_profile("quick", max_examples=30, deadline=None)
settings.register_profile("thorough", max_examples=100, deadline=None)
settings.load_profile("thorough" if os.environ.get("CI") else "quick")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep tests that share a server or a file in one xdist worker (``--dist=loadgroup``)."""
    for item in items:
        if next(item.iter_markers("xdist_group"), None) is None:
            shared = next((name for name in SHARED if name in item.fixturenames), None)
            item.add_marker(pytest.mark.xdist_group(shared or item.nodeid.split("::")[0]))
    items.sort(key=_place)  # a stable sort


def _place(item):
    (group,) = next(item.iter_markers("xdist_group")).args
    return LONG.index(group) if group in LONG else len(LONG)


def pytest_collection_finish(session):
    """Fail if pytest-xdist ignores the groups, as it does with pytest 9.2: nothing else would tell."""
    if session.config.getoption("loadgroup", default=False) and session.items:
        assert "@" in session.items[0].nodeid, "pytest-xdist does not group tests by xdist_group"


def skip_without_tool(reason):
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def missing_tool():
    """``missing_tool(reason)``: skip the test; fail it in CI, where everything has to be tested."""
    return skip_without_tool


def cached(name, build):
    """Return a folder that ``build(folder)`` filled, once for the installed packages.

    Other workers wait for the first one.
    """
    packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:16]
    folder = CACHE / f"{name}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{name}.lock"):
        if not folder.exists():
            for outdated in CACHE.glob(f"{name}-*"):
                shutil.rmtree(outdated)
            with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
                build(Path(temporary) / name)
                (Path(temporary) / name).rename(folder)
    return folder


class VirtualClock:
    """Time that passes only during a wait; ``at`` schedules an action."""

    def __init__(self):
        self.time = 10_000.0
        self.waits = 0
        self._scheduled = []

    def now(self):
        return self.time

    def at(self, seconds, action):
        """Call ``action`` in N seconds."""
        self._scheduled.append((self.time + seconds, action))

    def wait(self, stop, seconds):
        self.waits += 1
        assert self.waits < 10_000, "it waits forever"
        end = self.time + seconds
        for moment, action in sorted(self._scheduled, key=lambda one: one[0]):
            if moment <= end and not stop.is_set():
                self.time = max(self.time, moment)
                self._scheduled.remove((moment, action))
                action()
        if not stop.is_set():
            self.time = end
        return stop.is_set()


@pytest.fixture
def clock():
    """A virtual clock, so that no test waits."""
    return VirtualClock()


# S3


@pytest.fixture(scope="session")
def s3_server():
    """An S3 server for the session: ``.url``, ``.access_key``, ``.secret_key``, ``.pid``."""
    from fanfold.local.s3 import running_s3

    with running_s3() as server:
        yield server


@pytest.fixture(scope="session")
def s3_client(s3_server):
    """A boto3 client of the S3 server."""
    with s3_client_of(s3_server) as client:
        yield client


@contextmanager
def s3_client_of(server):
    import boto3
    from botocore.config import Config

    with closing(
        boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
            config=Config(
                retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"}
            ),
        )
    ) as client:
        yield client


@pytest.fixture
def new_s3_client(s3_server):
    """A boto3 client of this test alone, which may hook into its events."""
    with s3_client_of(s3_server) as client:
        yield client


@pytest.fixture
def bucket_name(s3_client):
    """The name of a fresh, empty bucket."""
    name = f"test-{secrets.token_hex(6)}"
    s3_client.create_bucket(Bucket=name)
    return name


# Postgres


@dataclass(frozen=True)
class PostgresServer:
    """A database of a Postgres server on loopback that asks for a password."""

    host: str
    port: int
    user: str
    password: str
    dbname: str = "postgres"

    def parameters(self, dbname=None, **others):
        """Keyword arguments for ``psycopg.connect``."""
        return {**asdict(self), "dbname": dbname or self.dbname, "connect_timeout": 10, **others}

    def connect(self, **others):
        """Return a new psycopg connection; the caller closes it."""
        import psycopg

        return psycopg.connect(**self.parameters(**others))

    @property
    def airflow_url(self):
        """The SQLAlchemy URL of Airflow's database."""
        return (
            f"postgresql+psycopg2://{self.user}:{self.password}@{self.host}:{self.port}/{AIRFLOW}"
        )


@pytest.fixture(scope="session")
def postgres_server():
    """A Postgres server for the session, from Debian's binaries, with Airflow's migrated database."""
    prepared = cached(f"postgres-{_postgres_binaries().parent.name}", _prepare_postgres)
    with tempfile.TemporaryDirectory(prefix="fanfold-postgres-") as home:
        data = shutil.copytree(prepared, Path(home) / "data")
        with _running_postgres(data) as server:
            yield server


class UnsteadyPostgres:
    """A Postgres server that can be stopped and started again on its port."""

    def __init__(self, data):
        self.data, self.port = data, free_port()
        self.server, self._running = None, None

    def start(self):
        self._running = ExitStack()
        self.server = self._running.enter_context(_running_postgres(self.data, self.port))

    @property
    def running(self):
        return self._running is not None

    def stop(self, kind=signal.SIGQUIT):
        """Stop it like a crash (SIGQUIT) or a shutdown (SIGINT)."""
        if self.running:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            os.kill(pid, kind)
            self._running.close()
            self._running = None

    def query(self, statement):
        with self.server.connect() as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def unsteady_postgres():
    """A Postgres server of these tests, which does not run yet."""
    prepared = cached(f"postgres-{_postgres_binaries().parent.name}", _prepare_postgres)
    with tempfile.TemporaryDirectory(prefix="fanfold-postgres-") as home:
        server = UnsteadyPostgres(shutil.copytree(prepared, Path(home) / "data"))
        yield server
        server.stop()


def _prepare_postgres(folder):
    """Create a server whose database ``airflow`` has Airflow's tables."""
    with tempfile.TemporaryDirectory(prefix="fanfold-postgres-") as home:
        data = Path(home) / "data"
        data.mkdir(mode=0o700)
        secret = Path(home) / "secret"
        secret.write_text(secrets.token_urlsafe(16))
        user = _give_to_postgres(Path(home))
        command = [
            str(_postgres_binaries() / "initdb"),
            *("-D", str(data), "-U", "fanfold", "--pwfile", str(secret)),
            *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"),
        ]
        subprocess.run(command, user=user, cwd=home, stdout=subprocess.DEVNULL, check=True)
        secret.rename(data / "fanfold.secret")
        with _running_postgres(data) as server:
            with server.connect(autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {AIRFLOW}")
            _migrate(server.airflow_url, Path(home) / "airflow")
        shutil.copytree(data, folder)


def _give_to_postgres(folder):
    """Return the user of Debian's package if this is root, for which Postgres refuses to run."""
    if os.geteuid() != 0:
        return None
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, "postgres")
    return "postgres"


@contextmanager
def _running_postgres(data, port=None):
    home = data.parent
    password = (data / "fanfold.secret").read_text()
    server = PostgresServer("127.0.0.1", port or free_port(), "fanfold", password)
    command = [
        # The shell ends the server when its stdin closes, also when the tests are killed.
        *("sh", "-c", '"$@" & read -r _; kill -INT $!; wait $!', "sh"),
        *(str(_postgres_binaries() / "postgres"), "-D", str(data)),
        *("-c", f"listen_addresses={server.host}", "-c", f"port={server.port}"),
        *("-c", f"unix_socket_directories={home}"),
        # Nothing here has to survive a power failure.
        *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"),
    ]
    user = _give_to_postgres(home)
    log = home / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, user=user, cwd=home, stdin=subprocess.PIPE, stdout=output, stderr=output
        ),
    ):
        # The end of the block closes stdin and waits.
        _wait_until_it_answers(server, log)
        yield server


def _wait_until_it_answers(server, log):
    import psycopg

    end = time.monotonic() + 60
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            if time.monotonic() > end:
                pytest.fail(f"Postgres did not start: {log.read_text()}")
            time.sleep(0.05)
        else:
            return


def _postgres_binaries():
    found = sorted(_POSTGRES.glob("*/bin/initdb"))
    if not found:
        skip_without_tool("Postgres is not installed: apt-get install postgresql")
    return found[-1].parent


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def postgres_database(postgres_server, request):
    """A fresh, empty database; dropped afterwards, with all its connections.

    Its encoding is UTF8, or the one of an indirect parameter.
    """
    name = f"test_{secrets.token_hex(6)}"
    encoding = getattr(request, "param", "UTF8")
    with postgres_server.connect(autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}'")
        yield replace(postgres_server, dbname=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


# Airflow


def _migrate(url, home):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
    }
    command = [sys.executable, "-W", "ignore", "-m", "airflow", "db", "migrate"]
    subprocess.run(command, check=True, capture_output=True, env=environment)


def _prepare_sqlite(folder):
    folder.mkdir()
    _migrate(f"sqlite:///{folder}/airflow.db", folder)


def _airflow_database():
    installed = any(_POSTGRES.glob("*/bin/initdb"))
    return os.environ.get("FANFOLD_TEST_AIRFLOW_DATABASE", "postgres" if installed else "sqlite")


@pytest.fixture(scope="session")
def sqlite_database():
    """An SQLite file with Airflow's migrated tables, to be copied."""
    return cached("sqlite", _prepare_sqlite) / "airflow.db"


@pytest.fixture(scope="session")
def airflow_home(request, tmp_path_factory):
    """An Airflow home with a migrated database, for all tests in this process.

    The database is Postgres where it is installed, as in a cluster, and SQLite elsewhere, as in the
    local mode, whose tests use that. FANFOLD_TEST_AIRFLOW_DATABASE chooses one of them.

    Airflow reads its environment on import: a test that imports it requests this fixture first.
    """
    home = tmp_path_factory.mktemp("airflow")
    if _airflow_database() == "postgres":
        database = request.getfixturevalue("postgres_server").airflow_url
    else:
        shutil.copy(request.getfixturevalue("sqlite_database"), home)
        database = f"sqlite:///{home}/airflow.db"
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Each test has a bucket of its own, and the DAGs name it.
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        # One user of each role, and one who may log in and see nothing.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,op:op,user:user,viewer:viewer,nobody:",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(24),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "NO_PROXY": "127.0.0.1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield home


@pytest.fixture(scope="session")
def metrics_settings():
    """``metrics_settings(port)``: the metrics of config/cluster.env, sent to a port on loopback."""
    lines = (ROOT / "config" / "cluster.env").read_text("utf-8").splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line.startswith("AIRFLOW__METRICS__"))

    def settings_for(port):
        return {
            **pairs,
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(port),
        }

    return settings_for


@pytest.fixture(scope="session")
def statsd_port():
    """The UDP port that the stack sends its metrics to."""
    return free_port(socket.SOCK_DGRAM)


@pytest.fixture(scope="session")
def stack(tmp_path_factory, metrics_settings, statsd_port):
    """The stack of ``make run`` for all tests that need Airflow's scheduler.

    Its tasks defer after seconds instead of a minute; tests separate their state by DAG run.
    """
    from fanfold.local.stack import running_stack

    environment = {
        "FANFOLD_DEFER_AFTER": "3",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer",
        **metrics_settings(statsd_port),
        # By default every 30 s, which is longer than a run.
        "AIRFLOW__SCHEDULER__TI_METRICS_INTERVAL": "0.5",
    }
    with running_stack(tmp_path_factory.mktemp("stack"), extra_env=environment) as running:
        yield running


# A browser

CHROMIUM = ["chromium", "chromium-browser", "google-chrome"]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync"]


@pytest.fixture(scope="module")
def chromium(missing_tool):
    """Debian's Chromium; each page has a context of its own."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        missing_tool("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()
