"""Workers come and go, and a new image rolls in, while a run goes on."""

from __future__ import annotations

import time

import driver

from fanfold.cluster import rolling
from fanfold.cluster.compose import Compose


def test_workers_that_are_added_take_up_work_and_leave_in_order(cluster, undisturbed):
    run_id = cluster.started_in_the_middle(requests_per_second=50)
    there = {each.hostname for each in cluster.containers("airflow-worker")}
    began = time.monotonic()
    rolling.scale(cluster.compose, "airflow-worker", 4, wait=False)

    def at_work():
        return {task["hostname"] for task in cluster.tasks(run_id) if task["hostname"]} - there

    driver.eventually(at_work, within=60, what="a task on a new worker")
    print(f"\nfirst task on a new worker after {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    rolling.scale(cluster.compose, "airflow-worker", 2)
    print(f"back to two workers after {time.monotonic() - began:.1f} s")
    cluster.wait(run_id)
    assert cluster.rows(run_id) == undisturbed[1]
    assert len(cluster.containers("airflow-worker")) == 2


def test_another_image_rolls_in_under_a_run(cluster, undisturbed):
    before = cluster.compose
    changed = {**before.changed, "FANFOLD_VERSION": "0.1.1"}
    new = Compose(before.folder, before.env_file, before.overrides, changed)
    new.run("build", "airflow-init", "simulator")
    image = new.docker("image", "inspect", "--format", "{{.Id}}", "fanfold:0.1.1").strip()
    run_id = cluster.started_in_the_middle(requests_per_second=50)
    began = time.monotonic()
    rolling.upgrade(new)
    print(f"\nrolled out after {time.monotonic() - began:.1f} s")
    cluster.compose = new
    running = [each for each in cluster.containers() if each.service.startswith("airflow-")]
    assert {each.image for each in running} == {image}
    assert len(running) == 7
    cluster.wait(run_id)
    assert cluster.rows(run_id) == undisturbed[1]
