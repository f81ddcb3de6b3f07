"""A run of 3,000 users over an API with faults, on two workers."""

from __future__ import annotations

import driver
import pytest

from fanfold.cluster import runs


def test_a_run_ends_complete_and_every_user_has_an_outcome(cluster, undisturbed):
    run_id, rows, _ = undisturbed
    manifest = cluster.manifest(run_id)
    counts = manifest["counts"]
    assert manifest["status"] == "complete"
    assert counts == {"planned": 3000, "ok": 2970, "missing": 30, "invalid": 0, "failed": 0}
    assert len({row["user_id"] for row in rows}) == len(rows) == 2970
    assert cluster.sql("warehouse", "SELECT count(*) FROM user_profiles") == "2970"


def test_the_api_really_failed(cluster, undisturbed):
    assert cluster.manifest(undisturbed[0])["requests"] > driver.USERS * 1.03


def test_both_workers_had_a_part_and_it_is_visible_which(cluster, undisturbed):
    done = runs.by_worker(cluster.compose, cluster.api, undisturbed[0])
    assert len(done) == 2
    assert all("worker" in name for name in done)
    assert min(done.values()) >= 5
    told = runs.summary(
        cluster.compose, cluster.api, cluster.api.run(runs.PIPELINE, undisturbed[0])
    )
    assert all(name in told for name in done)


def test_a_worker_waits_for_the_end_of_its_tasks(cluster):
    """What a process of that name does as it starts; see fanfold.airflow.task_ends."""
    script = (
        "import sys; sys.argv[1:] = ['celery', 'worker']; import airflow_local_settings;"
        "from airflow.sdk.execution_time.supervisor import WatchedSubprocess;"
        "print(WatchedSubprocess._service_subprocess.__wrapped__.__module__)"
    )
    said = cluster.compose.execute(cluster.one("airflow-worker"), "python", "-c", script)
    assert said.splitlines()[-1] == "airflow.sdk.execution_time.supervisor"


@pytest.mark.usefixtures("undisturbed")
def test_the_rate_budget_holds_over_both_workers(cluster):
    stats = cluster.simulator("GET", "/_stats")
    assert driver.RATE * 0.5 < stats["most_in_one_second"] <= driver.RATE
