"""Ports, connections and environment of a local stack; each setting with its reason."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fanfold.errors import BadConfiguration
from fanfold.simulator import sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.local.home import Home, Secrets

BUCKET = "fanfold"
FIRST_PORT = 8080
"""Port of Airflow's UI; the simulator, the S3 server and Airflow's API for tasks have the next three."""
LAST_PORT = 32_000
"""Linux uses ports from 32768 on for outgoing connections: one must not take that of a server before it listens."""
TRIES = 50
LOOPBACK = "127.0.0.1"
REPOSITORY = Path(__file__).resolve().parents[3]
_UNWANTED = {
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONWARNINGS",
    # Set by make, for its children.
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    # Container images set it. Without cached bytecode each start takes twice as long.
    "PYTHONDONTWRITEBYTECODE",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """The port of each server on loopback; Airflow has one for its REST API and one for tasks."""

    airflow: int
    execution: int
    simulator: int
    s3: int


def ports_from(first: int) -> Ports:
    """Return a port and the next three."""
    return Ports(airflow=first, simulator=first + 1, s3=first + 2, execution=first + 3)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Free ports that no other stack of this machine takes while ``marks`` are open.

    Attributes:
        ports: Four neighbours.
        taken: The first port that was wanted and is not free; None if all were.
        marks: To be inherited by the supervisor.
    """

    ports: Ports
    taken: int | None
    marks: tuple[socket.socket, ...]


def reserve_ports(first: int) -> Reservation:
    """Reserve ``first`` and the following ports; if one is taken, the next free ones in steps of ten.

    A stack listens seconds after it has chosen its ports. Until then only the mark keeps other stacks from
    choosing them: a socket in Linux's abstract namespace, which is that of the ports and which the kernel
    removes with its process.

    Raises:
        BadConfiguration: There are none.
    """
    taken = None
    for port in range(first, first + 10 * TRIES, 10):
        marks: list[socket.socket] = []
        try:
            for each in range(port, port + len(fields(Ports))):
                marks.append(_mark(each))
        except OSError:
            taken = taken or each
            for mark in marks:
                mark.close()
        else:
            return Reservation(ports_from(port), taken, tuple(marks))
    raise BadConfiguration(
        f"The ports {first}, {first + 10} and so on to {port} are taken, or one of the three after each; "
        "set PORT to another one."
    )


def _mark(port: int) -> socket.socket:
    """Mark a port as chosen, or raise if it is taken."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0fanfold-port-{port}")
        with socket.socket() as probe:
            # Connections of a stack that has just stopped do not keep its ports.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
    except OSError:
        mark.close()
        raise
    return mark


def url(port: int) -> str:
    """Return the address of a server on loopback."""
    return f"http://{LOOPBACK}:{port}"


def clean_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables without those that would change a stack.

    Settings of another Airflow, credentials of a real cloud and Python paths are removed; loopback
    is excluded from proxies.
    """
    kept = {
        name: value
        for name, value in outer.items()
        if not name.startswith(("AIRFLOW", "AWS_", "_AIRFLOW", "PYTEST_")) and name not in _UNWANTED
    }
    for name in ("NO_PROXY", "no_proxy"):
        others = kept.get(name, "")
        kept[name] = ",".join(filter(None, (LOOPBACK, "localhost", others)))
    return kept


def s3_environment(outer: Mapping[str, str], secrets: Secrets) -> dict[str, str]:
    """Return the environment variables of the S3 server: its key pair, and no secret of others."""
    kept = {name: outer[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in outer}
    keys = {"S3_ACCESS_KEY": secrets.s3_access_key, "S3_SECRET_KEY": secrets.s3_secret_key}
    return {**kept, **keys, "PYTHONUNBUFFERED": "1"}


def of_shell(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that ``make run`` and ``make up`` take over from the user's shell.

    Airflow connections and Variables, which override the rows in Airflow's database; the bucket, and the
    files that pipelines may read (by default those of the bucket), which override those of the stack.
    """
    names = ("AIRFLOW_CONN_", "AIRFLOW_VAR_", "FANFOLD_BUCKET", "FANFOLD_FILES_ALLOWED")
    return {name: value for name, value in outer.items() if name.startswith(names)}


def connections(home: Home, secrets: Secrets, ports: Ports) -> dict[str, dict[str, Any]]:
    """Return the Airflow connections to the servers of a stack: fields by id, ``extra`` as an object."""
    extra = {"endpoint_url": url(ports.s3), "region_name": "us-east-1"}
    storage = {"login": secrets.s3_access_key, "password": secrets.s3_secret_key, "extra": extra}
    return {
        **sample.connections(url(ports.simulator), secrets.source_token),
        "aws_default": {"conn_type": "aws", **storage},
        "warehouse_default": {"conn_type": "sqlite", "host": str(home.warehouse)},
    }


def dags_folder() -> Path:
    """Return the folder of the DAG files: ``$FANFOLD_DAGS``, or the project's."""
    return Path(os.environ.get("FANFOLD_DAGS") or REPOSITORY / "dags")


def connection_variable(connection_id: str) -> str:
    """Return the environment variable of an Airflow connection."""
    return f"AIRFLOW_CONN_{connection_id.upper()}"


def airflow_environment(
    home: Home, secrets: Secrets, ports: Ports, *, dags: Path, scheduled: bool
) -> dict[str, str]:
    """Return the environment variables of a stack.

    With ``scheduled``, schedules and assets start runs. Not for ``make run``: a scheduled run would
    compete with the one that the user waits for.
    """
    return {
        "FANFOLD_SHARED_DIR": str(home.shared),
        "FANFOLD_BUCKET": BUCKET,
        "AIRFLOW_HOME": str(home.airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{quote(str(home.database))}",
        # For config/airflow_local_settings.py.
        "PYTHONPATH": str(REPOSITORY / "config"),
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__BASE_URL": url(ports.airflow),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url(ports.execution)}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": secrets.fernet_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt_secret,
        "AIRFLOW__API__SECRET_KEY": secrets.api_secret_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home.passwords),
        # The default asks DNS for the fully qualified name, which may be slow or fail.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # Concurrent tasks of a DAG run. More of them only compete for two cores: 16 (the default)
        # took four times as long as 6 for 20 batches.
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "6",
        # Worker processes. Many more than tasks, because a worker often stays with its finished
        # task for MIN_HEARTBEAT_INTERVAL seconds: Airflow checks for its exit only once before.
        "AIRFLOW__CORE__PARALLELISM": "24",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
        # One pass of the scheduler fills all slots (0: no limit).
        "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "0",
        # A finished task waits for the next one half of this on average.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(scheduled),
        # A task whose worker was killed is detected after one minute instead of five.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # The Trigger button works at once.
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # A new or changed DAG file is parsed within seconds.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
        "AIRFLOW__API__WORKERS": "1",
        # As in the Dockerfile.
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": (
            "airflow.providers.amazon=WARNING airflow.task.hooks=WARNING botocore=WARNING urllib3=WARNING "
            "airflow.task.operators.airflow.providers.standard.decorators.python=WARNING"
        ),
        # Plain log files.
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "NO_COLOR": "1",
        # Tasks are forked from a process that imported numpy, which must not have a thread pool;
        # concurrent tasks keep the cores busy anyway.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
