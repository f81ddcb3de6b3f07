"""Workers are added and removed, and a new image is rolled out, while a run continues."""

from __future__ import annotations

import time
from threading import Thread

import driver

from fanfold.cluster import rolling
from fanfold.cluster.compose import Compose, docker


def test_added_workers_run_tasks_and_removed_ones_lose_none(cluster, undisturbed):
    run_id = cluster.start_and_reach_the_middle(requests_per_second=50)
    before = {each["Config"]["Hostname"] for each in cluster.containers("airflow-worker")}
    began = time.monotonic()
    # Not waited for: their first task shows that they work.
    scaling = Thread(target=rolling.scale, args=(cluster.compose, "airflow-worker", 4))
    scaling.start()
    driver.eventually(
        lambda: {task.hostname for task in cluster.tasks(run_id)} - before - {""},
        within=60,
        what="a task on a new worker",
    )
    print(f"\nfirst task on a new worker after {time.monotonic() - began:.1f} s")
    scaling.join()
    began = time.monotonic()
    rolling.scale(cluster.compose, "airflow-worker", 2)
    print(f"back to two workers after {time.monotonic() - began:.1f} s")
    cluster.wait(run_id)
    assert cluster.rows(run_id) == undisturbed[1]
    assert len(cluster.containers("airflow-worker")) == 2


def test_a_rolling_upgrade_during_a_run(cluster, undisturbed):
    before = cluster.compose
    new = Compose(before.folder, before.env_file, {"FANFOLD_VERSION": "test-2"})
    new.run("build", stdout=None)
    image = docker("image", "inspect", "--format", "{{.Id}}", "fanfold:test-2").strip()
    run_id = cluster.start_and_reach_the_middle(requests_per_second=50)
    began = time.monotonic()
    rolling.upgrade(new)
    print(f"\nupgraded after {time.monotonic() - began:.1f} s")
    cluster.compose = new
    services = (*rolling.SINGLE, *rolling.SEVERAL)
    assert [each["Image"] for each in cluster.containers(*services)] == [image] * 7
    cluster.wait(run_id)
    assert cluster.rows(run_id) == undisturbed[1]
