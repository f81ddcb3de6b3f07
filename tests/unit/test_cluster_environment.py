"""The settings of a cluster, and of the local stack, are ones that Airflow knows."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

import pytest
import yaml

from fanfold.local.home import Home
from fanfold.local.settings import Ports, airflow_environment

FILE = Path(__file__).parents[2] / "config" / "cluster.env"
OTHERS = {
    *("AIRFLOW_HOME", "FANFOLD_SHARED_DIR", "FANFOLD_BUCKET", "FANFOLD_RATE_LIMIT_URL"),
    "FANFOLD_DRAIN_SECONDS",
    # Airflow's scheduler reads it; its list of options leaves it out.
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES",
    # Of apache-airflow-providers-fab 3.10.2, which is installed on clusters only.
    "AIRFLOW__FAB__UPDATE_FAB_PERMS",
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MPLBACKEND"),
    *("NO_COLOR", "PYTHONPATH", "PYTHONUNBUFFERED"),
}
"""Names that others than Airflow's configuration read."""

# The provider is installed on clusters only. From get_provider_info() of
# apache-airflow-providers-celery 3.26.0, for those options that are set here.
CELERY = {
    "celery": {
        "operation_timeout",
        "task_acks_late",
        "task_publish_max_retries",
        "worker_concurrency",
        "worker_prefetch_multiplier",
    },
    "celery_broker_transport_options": {"visibility_timeout"},
}


def celery_options():
    """The options of the provider where it is installed, and of the list above otherwise."""
    try:
        provider = distribution("apache-airflow-providers-celery")
    except PackageNotFoundError:
        return CELERY
    # Not imported: Airflow reads its environment as it is imported for the first time.
    told = run_path(str(provider.locate_file("airflow/providers/celery/get_provider_info.py")))
    sections = told["get_provider_info"]()["config"]
    return {section: set(each["options"]) for section, each in sections.items()}


@pytest.fixture(scope="module")
def known():
    """The name of the environment variable of every option."""
    (package,) = find_spec("airflow").submodule_search_locations
    told = yaml.safe_load((Path(package) / "config_templates" / "config.yml").read_text("utf-8"))
    options = {section: set(each["options"]) for section, each in told.items()}
    return {
        f"AIRFLOW__{section}__{option}".upper()
        for section, names in {**options, **celery_options()}.items()
        for option in names
    }


@pytest.fixture(scope="module")
def cluster():
    """The settings in the file."""
    lines = FILE.read_text("utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    assert all(separator for _, separator, _ in pairs)
    names = [name for name, _, _ in pairs]
    assert len(set(names)) == len(names), "a name stands there twice"
    return {name: value for name, _, value in pairs}


def test_airflow_knows_every_setting_of_the_cluster(cluster, known):
    assert set(cluster) - known - OTHERS == set()


def test_airflow_knows_every_setting_of_the_local_stack(tmp_path, known):
    home = Home(tmp_path / "home")
    ports = Ports(20_001, 20_002, 20_003, 20_004)
    environment = airflow_environment(
        home, home.prepare(), ports, dags=tmp_path / "dags", scheduled=False
    )
    connections = {name for name in environment if name.startswith("AIRFLOW_CONN_")}
    assert set(environment) - known - OTHERS == connections


def test_a_typing_error_would_be_found(known):
    assert "AIRFLOW__CORE__PARALLELISM" in known
    assert "AIRFLOW__CORE__PARALELISM" not in known
    assert "AIRFLOW__CELERY__TASK_ACKS_LATE" in known
    assert "AIRFLOW__CELERY__TASKS_ACKS_LATE" not in known


def test_every_setting_of_the_cluster_has_its_reason():
    """Settings that follow each other share the comment above them."""
    blocks = FILE.read_text("utf-8").split("\n\n")
    for block in blocks:
        lines = block.splitlines()
        if any("=" in line and not line.startswith("#") for line in lines):
            assert lines[0].startswith("#"), lines[0]


def test_no_secret_and_no_quotes_are_in_it(cluster):
    assert not [name for name in cluster if re.search("PASSWORD|SECRET|TOKEN|_KEY|CONN", name)]
    assert not [value for value in cluster.values() if "'" in value or '"' in value or not value]


def test_its_numbers_agree_with_each_other(cluster):
    def number(section, option):
        return float(cluster[f"AIRFLOW__{section}__{option}".upper()])

    silence = number("workers", "min_heartbeat_interval") * number(
        "workers", "max_failed_heartbeats"
    )
    assert silence < number("scheduler", "task_instance_heartbeat_timeout")
    slots = 4 * number("celery", "worker_concurrency")
    # One scheduler alone fills four workers.
    assert slots == number("core", "parallelism")
    assert slots == number("core", "max_active_tasks_per_dag")
    drain = float(cluster["FANFOLD_DRAIN_SECONDS"])
    grace = re.search(
        r"stop_grace_period: (150)s", (FILE.parents[1] / "docker-compose.yaml").read_text("utf-8")
    )
    assert drain + 2 * 5 < float(grace[1])


# Airflow and its providers warn about themselves.
@pytest.mark.filterwarnings("ignore")
def test_no_task_may_take_longer_than_redis_waits_for_its_confirmation(cluster, airflow_home):
    assert airflow_home.is_dir()
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(FILE.parents[1] / "dags"))
    assert bag.dags
    waits = float(cluster["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"])
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert task.execution_timeout.total_seconds() < waits, task.task_id
