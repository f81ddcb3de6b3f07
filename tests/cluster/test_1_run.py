"""A run of 3,000 users over an API with faults, on two workers."""

from __future__ import annotations

from collections import Counter

import driver
import pytest

from fanfold.cluster import commands, runs

pytestmark = pytest.mark.quick


def test_a_run_completes_and_every_user_has_an_outcome(cluster, undisturbed):
    run_id, rows = undisturbed
    manifest = cluster.manifest(run_id)
    assert manifest["status"] == "complete"
    counts = {"planned": 3000, "ok": 2970, "missing": 30, "invalid": 0, "failed": 0}
    assert manifest["counts"] == counts
    assert manifest["requests"] > driver.USERS * 1.03, "the API did not fail"
    assert len({row["user_id"] for row in rows}) == len(rows) == 2970
    assert cluster.sql("warehouse", "SELECT count(*) FROM user_profiles") == "2970"


def test_both_workers_run_tasks(cluster, undisturbed):
    workers = {each["Config"]["Hostname"] for each in cluster.containers("airflow-worker")}
    hosts = Counter(task.hostname for task in cluster.tasks(undisturbed[0]))
    assert set(hosts) == workers
    assert len(workers) == 2
    assert min(hosts.values()) >= 5


def test_the_command_line_reports_a_run_and_the_state_of_the_containers(
    cluster, undisturbed, capsys
):
    run = runs.wait(cluster.compose, driver.PIPELINE, undisturbed[0], timeout=0)
    assert "user     3000 planned, 2970 ok, 30 missing" in runs.summary(
        cluster.compose, driver.PIPELINE, run
    )
    assert commands.status(cluster.compose) == 0
    assert "airflow-worker-2" in capsys.readouterr().out


def test_a_worker_waits_for_the_end_of_its_tasks(cluster):
    """Its processes have the patch of fanfold.airflow.task_ends."""
    script = (
        "import sys; sys.argv[1:] = ['celery', 'worker']; import airflow_local_settings;"
        "from airflow.sdk.execution_time.supervisor import WatchedSubprocess;"
        "print(WatchedSubprocess._service_subprocess.__wrapped__.__module__)"
    )
    output = cluster.compose.execute("airflow-worker", "python", "-c", script)
    assert output.splitlines()[-1] == "airflow.sdk.execution_time.supervisor"


@pytest.mark.usefixtures("undisturbed")
def test_the_rate_limit_holds_over_both_workers(cluster):
    stats = cluster.simulator("GET", "/_stats")
    assert driver.RATE * 0.5 < stats["most_in_one_second"] <= driver.RATE
