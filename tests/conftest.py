"""Real servers for tests: S3 and Postgres, each once a session, with a fresh place for each test."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

DAGS = Path(__file__).parents[1] / "dags"
_POSTGRES = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class PostgresServer:
    """A Postgres server on loopback that asks for a password."""

    host: str
    port: int
    user: str
    password: str

    def parameters(self, dbname="postgres", **others):
        """Keyword arguments for ``psycopg.connect``."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": dbname,
            "connect_timeout": 10,
            **others,
        }


@dataclass(frozen=True)
class PostgresDatabase:
    """A fresh, empty database of a server."""

    server: PostgresServer
    name: str

    def parameters(self, **others):
        """Keyword arguments for ``psycopg.connect``."""
        return self.server.parameters(**{"dbname": self.name, **others})

    def connect(self, **others):
        """Return a new psycopg connection; the caller closes it."""
        import psycopg

        return psycopg.connect(**self.parameters(**others))


def missing_tool(reason):
    """Skip the test, but fail where everything has to be tested."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


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
def s3_client_of(server, **config):
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
                retries={"total_max_attempts": 1},
                proxies={},
                s3={"addressing_style": "path"},
                **config,
            ),
        )
    ) as client:
        yield client


@pytest.fixture
def new_s3_client(s3_server):
    """A boto3 client of the test's own, whose events it may hook into."""
    with s3_client_of(s3_server) as client:
        yield client


@pytest.fixture
def bucket_name(s3_client):
    """The name of a fresh, empty bucket."""
    name = f"test-{secrets.token_hex(6)}"
    s3_client.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def postgres_server():
    """A Postgres server for the session, of Debian's binaries."""
    binaries = _postgres_binaries()
    with tempfile.TemporaryDirectory(prefix="fanfold-postgres-") as folder:
        # initdb refuses to run as root: then the server belongs to the user of Debian's package.
        user = "postgres" if os.geteuid() == 0 else None
        home = Path(folder)
        if user:
            shutil.chown(home, user)
        server = PostgresServer("127.0.0.1", _free_port(), "fanfold", secrets.token_urlsafe(16))
        _initialise(binaries, home, server, user)
        command = [
            # The shell ends the server when its stdin closes: also when the tests are killed.
            *("sh", "-c", '"$@" & read -r _; kill -QUIT $!; wait $!', "sh"),
            *(str(binaries / "postgres"), "-D", str(home / "data")),
            *("-c", f"listen_addresses={server.host}", "-c", f"port={server.port}"),
            *("-c", f"unix_socket_directories={home}"),
            # Nothing here has to survive a power cut.
            *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"),
        ]
        log = home / "log"
        with (
            log.open("wb") as errors,
            subprocess.Popen(
                command, user=user, cwd=home, stdin=subprocess.PIPE, stdout=errors, stderr=errors
            ),
        ):
            # Leaving the block closes stdin, and waits.
            _wait_until_it_answers(server, log)
            yield server


def _wait_until_it_answers(server, log):
    import psycopg

    end = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(**server.parameters()).close()
        except psycopg.OperationalError:
            if time.monotonic() > end:
                pytest.fail(f"Postgres did not start: {log.read_text()}")
            time.sleep(0.05)
        else:
            return


def _postgres_binaries():
    found = sorted(_POSTGRES.glob("*/bin/initdb"))
    if not found:
        missing_tool("Postgres is not installed: apt-get install postgresql")
    return found[-1].parent


def _initialise(binaries, home, server, user):
    secret = home / "password"
    secret.write_text(server.password)
    if user:
        shutil.chown(secret, user)
    command = [
        str(binaries / "initdb"),
        *("-D", str(home / "data"), "-U", server.user, "--pwfile", str(secret)),
        *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"),
    ]
    subprocess.run(command, user=user, cwd=home, stdout=subprocess.DEVNULL, check=True)
    secret.unlink()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def postgres_database(postgres_server):
    """A fresh, empty database; dropped afterwards, whoever is connected."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(**postgres_server.parameters(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield PostgresDatabase(postgres_server, name)
    with psycopg.connect(**postgres_server.parameters(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _airflow_database():
    installed = any(_POSTGRES.glob("*/bin/initdb"))
    return os.environ.get("FANFOLD_TEST_AIRFLOW_DATABASE", "postgres" if installed else "sqlite")


@pytest.fixture(scope="session")
def airflow_home(request, tmp_path_factory):
    """An Airflow home with a migrated database, for all tests in this process.

    The database is Postgres where it is installed, as in a cluster, and SQLite elsewhere, as in the
    embedded mode, whose own tests use that. FANFOLD_TEST_AIRFLOW_DATABASE chooses one of them.

    Airflow reads its environment when it is imported: whoever imports it asks for this first.
    """
    home = tmp_path_factory.mktemp("airflow")
    database = f"sqlite:///{home}/airflow.db"
    if _airflow_database() == "postgres":
        server = request.getfixturevalue("postgres_server")
        login = f"{server.user}:{server.password}@{server.host}:{server.port}"
        database = f"postgresql+psycopg2://{login}/postgres"
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(DAGS.parent / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # One of each role, and somebody who may log in and see nothing.
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
        command = [sys.executable, "-W", "ignore", "-m", "airflow", "db", "migrate"]
        subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
        yield home
