"""The settings in config/cluster.env, and those of the local mode, are known to Airflow."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from fanfold.local.home import Home
from fanfold.local.settings import Ports, airflow_environment

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "config" / "cluster.env").read_text("utf-8")
# apache-airflow-providers-celery 3.26.0 and -fab 3.10.2 are installed in the cluster's image only.
PROVIDERS = {
    *("AIRFLOW__CELERY__OPERATION_TIMEOUT", "AIRFLOW__CELERY__TASK_ACKS_LATE"),
    *("AIRFLOW__CELERY__TASK_PUBLISH_MAX_RETRIES", "AIRFLOW__CELERY__WORKER_CONCURRENCY"),
    "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT",
    "AIRFLOW__FAB__UPDATE_FAB_PERMS",
    # Read by the scheduler, but missing from Airflow's list of options.
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES",
}


@pytest.fixture(scope="module")
def known():
    """The environment variables of all options, without importing Airflow."""
    (package,) = find_spec("airflow").submodule_search_locations
    file = Path(package, "config_templates", "config.yml")
    sections = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
    return PROVIDERS | {
        f"AIRFLOW__{section}__{option}".upper()
        for section, each in sections.items()
        for option in each["options"]
    }


@pytest.fixture(scope="module")
def cluster():
    lines = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
    found = dict(line.split("=", 1) for line in lines)
    assert len(found) == len(lines), "a name is set twice"
    return found


def _unknown(settings, known):
    ours = re.compile("AIRFLOW__").match
    return {name for name in settings if ours(name)} - known


def test_airflow_knows_every_setting_of_the_cluster(cluster, known):
    assert _unknown(cluster, known) == set()
    assert _unknown({"AIRFLOW__CORE__PARALELISM"}, known), "a typing error is not found"


def test_airflow_knows_every_setting_of_the_local_mode(tmp_path, known):
    home = Home(tmp_path / "home")
    ports = Ports(20_001, 20_002, 20_003, 20_004)
    settings = airflow_environment(
        home, home.prepare(), ports, dags=tmp_path / "dags", scheduled=False
    )
    assert _unknown(settings, known) == set()


def test_there_are_no_secrets_and_no_quotes(cluster):
    assert not [name for name in cluster if re.search("PASSWORD|SECRET|TOKEN|_KEY|CONN", name)]
    assert not [value for value in cluster.values() if "'" in value or '"' in value or not value]


def test_its_numbers_agree_with_each_other(cluster):
    def number(section, option):
        return float(cluster[f"AIRFLOW__{section}__{option}".upper()])

    silence = number("workers", "min_heartbeat_interval")
    silence *= number("workers", "max_failed_heartbeats")
    assert silence < number("scheduler", "task_instance_heartbeat_timeout")
    # One scheduler alone can fill four workers.
    slots = 4 * number("celery", "worker_concurrency")
    assert slots == number("core", "parallelism") == number("core", "max_active_tasks_per_dag")
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))["services"]
    grace = float(services["airflow-worker"]["stop_grace_period"].removesuffix("s"))
    assert float(cluster["FANFOLD_DRAIN_SECONDS"]) + 2 * 5 < grace
