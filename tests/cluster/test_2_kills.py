"""Each part is killed in the middle of a run: the run completes, and its dataset is the same."""

from __future__ import annotations

import time

import driver
import pytest


def _same(cluster, run_id, undisturbed):
    assert cluster.rows(run_id) == undisturbed[1]
    assert cluster.manifest(run_id)["counts"] == cluster.manifest(undisturbed[0])["counts"]


def _tries(cluster, run_id):
    return {
        (task["task_id"], task["map_index"]): (task["try_number"], task["state"], task["hostname"])
        for task in cluster.tasks(run_id)
    }


def _restarted(cluster, lost, *, well=False):
    """Whether a part of which there is one runs again; for a moment there is none."""
    found = cluster.containers(lost.service)
    return found and found[0].pid != lost.pid and (found[0].well or not well)


def test_a_worker_that_is_gone(cluster, undisturbed, recoveries):
    run_id = cluster.started_in_the_middle()
    lost = max(
        cluster.containers("airflow-worker"),
        key=lambda each: sum(
            state == "running" and host == each.hostname
            for _, state, host in _tries(cluster, run_id).values()
        ),
    )
    cluster.destroy(lost)
    began = time.monotonic()
    had = {
        key
        for key, (_, state, host) in _tries(cluster, run_id).items()
        if state == "running" and host == lost.hostname
    }
    assert had

    def begun_elsewhere():
        now = _tries(cluster, run_id)
        return now and all(now[key][0] > 1 and now[key][1] in {"running", "success"} for key in had)

    driver.eventually(begun_elsewhere, within=240, what="its tasks on another worker", pause=1)
    back = time.monotonic() - began
    seconds = cluster.wait(run_id)
    cluster.revive(lost)
    _same(cluster, run_id, undisturbed)
    recoveries.append(("worker, for good (docker kill)", back, seconds))
    cluster.well("airflow-worker")


def test_the_scheduler_that_queued_the_tasks(cluster, undisturbed, recoveries):
    run_id = cluster.started_in_the_middle()
    active = cluster.sql(
        "airflow",
        "SELECT job.hostname FROM task_instance JOIN job ON job.id = queued_by_job_id"
        f" WHERE run_id = '{run_id}' GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    )
    (lost,) = [each for each in cluster.containers("airflow-scheduler") if each.hostname == active]
    before = len([each for each in _tries(cluster, run_id).values() if each[1] == "success"])
    cluster.destroy(lost)
    began = time.monotonic()

    def goes_on():
        now = [state for _, state, _ in _tries(cluster, run_id).values()]
        return now.count("success") > before + 3

    driver.eventually(goes_on, within=240, what="further tasks")
    back = time.monotonic() - began
    seconds = cluster.wait(run_id)
    cluster.revive(lost)
    _same(cluster, run_id, undisturbed)
    recoveries.append(("active scheduler, for good (docker kill)", back, seconds))
    cluster.well("airflow-scheduler")


def test_the_triggerer_while_fetches_are_deferred(cluster, undisturbed, recoveries):
    run_id = cluster.started_in_the_middle(
        simulator={"quota_per_hour": 1_800, "quota_window_s": 40}
    )
    driver.eventually(
        lambda: any(state == "deferred" for _, state, _ in _tries(cluster, run_id).values()),
        within=120,
        what="a deferred fetch",
    )
    lost = cluster.one("airflow-triggerer")
    began = time.monotonic()
    cluster.crash(lost)
    driver.eventually(
        lambda: _restarted(cluster, lost), within=60, what="the triggerer, started again"
    )
    back = time.monotonic() - began
    seconds = cluster.wait(run_id)
    _same(cluster, run_id, undisturbed)
    recoveries.append(("triggerer, fetches deferred for 40 s", back, seconds))


@pytest.mark.parametrize(
    "service", ["airflow-dag-processor", "airflow-apiserver", "redis", "postgres", "s3"]
)
def test_a_part_of_which_there_is_one(cluster, undisturbed, recoveries, service):
    run_id = cluster.started_in_the_middle()
    if service == "s3":
        # Nothing goes there before.
        driver.eventually(
            lambda: _tries(cluster, run_id).get(("consolidate", -1), (0, None))[1],
            within=180,
            what="consolidate",
            pause=0.1,
        )
    lost = cluster.one(service)
    began = time.monotonic()
    cluster.crash(lost)

    driver.eventually(
        lambda: _restarted(cluster, lost, well=True), within=180, what=f"{service}, well"
    )
    back = time.monotonic() - began
    seconds = cluster.wait(run_id)
    _same(cluster, run_id, undisturbed)
    recoveries.append((service, back, seconds))
