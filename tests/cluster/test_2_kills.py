"""Each component is killed in the middle of a run: the run completes with the same dataset."""

from __future__ import annotations

import json
import time
from collections import Counter

import driver
import pytest

from fanfold.cluster import rolling
from fanfold.cluster.compose import docker


@pytest.fixture
def completes(cluster, undisturbed, recoveries):
    """Waits for a run, and compares its result with that of the undisturbed one."""

    def check(run_id, what, recovered):
        seconds = cluster.wait(run_id)
        assert cluster.rows(run_id) == undisturbed[1]
        assert cluster.manifest(run_id)["counts"] == cluster.manifest(undisturbed[0])["counts"]
        recoveries.append((what, recovered, seconds))

    return check


def _revive(cluster, lost):
    docker("start", lost["Id"])
    rolling.start(cluster.compose, "--no-recreate")


def _crash(lost, *, healthy=True):
    """Crash a container; return the seconds until Docker has restarted it."""

    def restarted():
        state = json.loads(docker("inspect", lost["Id"]))[0]["State"]
        pid, health = state["Pid"], state.get("Health", {}).get("Status", "healthy")
        return pid not in {0, lost["State"]["Pid"]} and (health == "healthy" or not healthy)

    began = time.monotonic()
    driver.crash(lost)
    driver.eventually(restarted, within=180, what=f"{lost['Name']}, restarted")
    return time.monotonic() - began


def test_a_worker_that_does_not_come_back(cluster, completes):
    run_id = cluster.start_and_reach_the_middle()

    hosts = Counter(task.hostname for task in cluster.tasks(run_id) if task.state == "running")
    busiest = hosts.most_common(1)[0][0]
    workers = cluster.containers("airflow-worker")
    (lost,) = [each for each in workers if each["Config"]["Hostname"] == busiest]
    docker("kill", lost["Id"])
    began = time.monotonic()
    interrupted = {
        task.key
        for task in cluster.tasks(run_id)
        if task.state == "running" and task.hostname == busiest
    }
    assert interrupted

    def retried():
        return interrupted <= {
            task.key
            for task in cluster.tasks(run_id)
            if task.hostname != busiest and task.state in {"running", "success"}
        }

    driver.eventually(retried, within=240, what="its tasks on another worker", pause=1)
    completes(run_id, "worker, for good (docker kill)", time.monotonic() - began)
    _revive(cluster, lost)


@pytest.mark.quick
def test_the_scheduler_that_queued_the_tasks(cluster, completes):
    run_id = cluster.start_and_reach_the_middle()
    active = cluster.sql(
        "airflow",
        "SELECT job.hostname FROM task_instance JOIN job ON job.id = queued_by_job_id"
        f" WHERE run_id = '{run_id}' GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    )
    schedulers = cluster.containers("airflow-scheduler")
    (lost,) = [each for each in schedulers if each["Config"]["Hostname"] == active]

    def successes():
        return [task.state for task in cluster.tasks(run_id)].count("success")

    before = successes()
    docker("kill", lost["Id"])
    began = time.monotonic()
    driver.eventually(lambda: successes() > before + 3, within=240, what="further tasks")
    completes(run_id, "active scheduler, for good (docker kill)", time.monotonic() - began)
    _revive(cluster, lost)


def test_the_triggerer_while_fetches_are_deferred(cluster, completes):
    run_id = cluster.start_and_reach_the_middle(
        simulator={"quota_per_hour": 1_800, "quota_window_s": 40}
    )
    driver.eventually(
        lambda: any(task.state == "deferred" for task in cluster.tasks(run_id)),
        within=120,
        what="a deferred fetch",
    )
    recovered = _crash(cluster.one("airflow-triggerer"), healthy=False)
    completes(run_id, "triggerer, fetches deferred for 40 s", recovered)


@pytest.mark.parametrize(
    "service", ["airflow-dag-processor", "airflow-apiserver", "redis", "postgres", "s3"]
)
def test_a_component_with_one_container(cluster, completes, service):
    run_id = cluster.start_and_reach_the_middle()
    if service == "s3":
        # No earlier task uses it.
        driver.eventually(
            lambda: any(
                task.key.startswith("consolidate") and task.state in {"running", "success"}
                for task in cluster.tasks(run_id)
            ),
            within=180,
            what="consolidate",
            pause=0.1,
        )
    completes(run_id, service, _crash(cluster.one(service)))
