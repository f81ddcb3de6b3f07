"""The environment of the Airflow processes: every setting with its reason."""

from __future__ import annotations

import json
import os
import random
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.local.home import Home, Secrets

BUCKET = "fanfold"
LOOPBACK = "127.0.0.1"
REPOSITORY = Path(__file__).resolve().parents[3]
PIPELINE = "weibo_user_profiles"
"""The DAG that ``make run`` triggers."""


_UNWANTED = {
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONWARNINGS",
    # Container images set it. Compiling Airflow anew takes each start twice as long.
    "PYTHONDONTWRITEBYTECODE",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each server listens on loopback."""

    airflow: int
    simulator: int
    s3: int


def free_ports() -> Ports:
    """Return ports that nobody listens on.

    They lie below the range that the system gives to outgoing connections (32768 and up on
    Linux), so that none of the many requests of a run takes one before its server is up.

    Raises:
        BadConfiguration: There are none.
    """
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == 3:
            return Ports(*found)
    raise BadConfiguration(f"No free ports on {LOOPBACK} between 20000 and 32000.")


def url(port: int) -> str:
    """Return the address of a server of this stack."""
    return f"http://{LOOPBACK}:{port}"


def clean_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return ``outer`` without what would change a stack from outside.

    Settings of another Airflow, credentials of a real cloud and Python paths stay out; proxies stay
    out of loopback.
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


def connections(home: Home, secrets: Secrets, ports: Ports) -> dict[str, str]:
    """Return the connections of the stack as environment variables."""
    source = {
        "conn_type": "http",
        "host": url(ports.simulator),
        "password": secrets.source_token,
        "extra": {},
    }
    storage = {
        "conn_type": "aws",
        "login": secrets.s3_access_key,
        "password": secrets.s3_secret_key,
        "extra": {"endpoint_url": url(ports.s3), "region_name": "us-east-1"},
    }
    warehouse = {"conn_type": "sqlite", "host": str(home.warehouse)}
    return {
        "AIRFLOW_CONN_WEIBO_DEFAULT": json.dumps(source),
        "AIRFLOW_CONN_MASTODON_DEFAULT": json.dumps(source),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(storage),
        "AIRFLOW_CONN_WAREHOUSE_DEFAULT": json.dumps(warehouse),
    }


def airflow_environment(
    home: Home, secrets: Secrets, ports: Ports, *, dags: Path, scheduled: bool
) -> dict[str, str]:
    """Return the variables that make Airflow this stack's.

    Args:
        home: Where its files lie.
        secrets: Of this folder.
        ports: Where the servers listen.
        dags: The DAG folder.
        scheduled: Whether schedules and assets start runs. ``make run`` says no: a schedule that
            is due would compete with the one run that the person waits for.
    """
    return {
        **connections(home, secrets, ports),
        "FANFOLD_SHARED_DIR": str(home.shared),
        "FANFOLD_BUCKET": BUCKET,
        "AIRFLOW_HOME": str(home.airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.database}",
        # config/ holds airflow_local_settings.py.
        "PYTHONPATH": str(REPOSITORY / "config"),
        # Nobody else listens: loopback, and logs are read from the disk (no log servers).
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__BASE_URL": url(ports.airflow),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url(ports.airflow)}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": secrets.fernet_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt_secret,
        "AIRFLOW__API__SECRET_KEY": secrets.api_secret_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home.passwords),
        # The fully qualified name is asked from DNS, which may be slow or away.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # How many tasks of a DAG run at once. More of them only fight for two cores: 16 (the
        # default) took four times as long as 6 for 20 batches.
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "6",
        # How many workers there are. Far more, because a worker often stays with its task after
        # the end: Airflow's supervisor looks for the exit once, in the instant in which the task
        # closes its sockets, and otherwise again after MIN_HEARTBEAT_INTERVAL seconds.
        "AIRFLOW__CORE__PARALLELISM": "24",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
        # All slots are filled by one pass of the scheduler (0: as many as there are slots).
        "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "0",
        # How long a finished task waits for the next one: half of this on average.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(scheduled),
        # A task whose machine was switched off is found after a minute, not after five.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # Tasks of a scheduler that is gone: its successor looks at its start and from then on so
        # often. It is one query; the default is 300.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        # How often a task may miss its API server (every MIN_HEARTBEAT_INTERVAL) before it is
        # ended: a server that was killed is back within ten seconds, and tasks run on meanwhile.
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "10",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
        # The first press of Trigger must do something.
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # A new or changed DAG file is seen within seconds.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
        "AIRFLOW__API__WORKERS": "1",
        # Plain log files.
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "NO_COLOR": "1",
        # Tasks fork from a process that imported numpy: no thread pool may exist there, and
        # parallel tasks already keep the cores busy.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
    }


def outer_environment() -> dict[str, str]:
    """Return this process's environment, cleaned."""
    return clean_environment(os.environ)
