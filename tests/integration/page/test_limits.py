"""Limits that are changed while a run is on, and *Publish anyway* after it."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from fanfold.model import Status
from fanfold.workspace.limits import changed_limits, with_changed_limits
from fanfold.workspace.progress import all_progress, write_progress
from fanfold.workspace.redrives import read_redrives

from .finished_run import File

KEYS = [f"file-{number:03}.csv" for number in range(300)]
FILES = dict.fromkeys(KEYS, File()) | dict.fromkeys(KEYS[:22], File(status=Status.FAILED))
"""22 of 300 failed, and 5 % are tolerated."""
AFTER = {"publish": "upstream_failed", "load": "upstream_failed", "report": "upstream_failed"}
BROKEN = {"consolidate": "failed", ("batch.fetch", 0): "failed", **AFTER}
PARAMS = {
    "tolerated_failure_percentage": 5,
    "tolerated_rejected_percentage": 5,
    "concurrency": 16,
    "requests_per_second": None,
}


@pytest.fixture
def page(finished_run):
    """A run that failed because of its tolerance."""
    return finished_run(FILES, batch_size=100, passed=False, state="failed", states=BROKEN)


def send(page, method, part, body, *, expect=200):
    answer = page.client.send(method, f"{page.path}/{part}", json=body)
    assert answer.status_code == expect, answer.text
    return answer.json()


def audit_log(page):
    """Return event, user and body of each change in Airflow's audit log."""
    from airflow.models.log import Log

    from .conftest import rows

    found = rows(Log.event, Log.owner, Log.extra, where=[Log.run_id == page.run_id])
    return [(event, owner, json.loads(extra)) for event, owner, extra in found]


def test_limits_change_while_the_run_is_on_and_its_tasks_take_them(page):
    assert send(page, "PATCH", "limits", {"concurrency": 2}, expect=409)["code"] == "not_on"
    page.set_states("running", {("consolidate",): None})
    assert page.get()["limits"] == PARAMS | {"changed_by": None, "changed_at": None}
    for wrong in (
        {"concurrency": 0}, {"concurrency": 1.5}, {"concurrency": "4"}, {"requests_per_second": 0},
        {"tolerated_failure_percentage": 100.1}, {"batch_size": 5}, [],
    ):  # fmt: skip
        send(page, "PATCH", "limits", wrong, expect=422)
    assert changed_limits(page.workspace) == {}
    send(page, "PATCH", "limits", {"concurrency": 32, "requests_per_second": 2.5})
    now = send(page, "PATCH", "limits", {"tolerated_failure_percentage": 8})
    changed = {"tolerated_failure_percentage": 8, "concurrency": 32, "requests_per_second": 2.5}
    assert now["changed_by"] == "user"
    assert {name: now[name] for name in PARAMS} == PARAMS | changed
    assert page.get()["limits"] == now
    send(page, "PATCH", "limits", {"requests_per_second": None})
    # A pipeline without requests has no Params for them.
    params = {"tolerated_failure_percentage": 1, "requests_per_second": 7, "dry_run": False}
    found = with_changed_limits(page.workspace, params)
    assert found == params | {"tolerated_failure_percentage": 8, "requests_per_second": None}
    events = [(owner, extra["method"]) for event, owner, extra in audit_log(page)]
    assert events == [("user", "PATCH")] * 4


def test_a_run_whose_tolerance_was_exceeded_is_published_with_the_shares_that_it_has(page, page_of):
    seen = page.get()
    assert seen["can_publish"] is True
    assert seen["shares"] == {"failures": pytest.approx(22 / 300), "rejected": 0.0}
    assert page_of(page.workspace, "viewer").get()["can_publish"] is False
    before = page.instances()
    would = {"dry_run": True, "tasks": 4, "share": pytest.approx(22 / 300)}
    assert send(page, "POST", "publish", {}) == would
    assert (page.instances(), audit_log(page)) == (before, [])
    assert changed_limits(page.workspace) == {}

    send(page, "POST", "publish", {"dry_run": False})
    cleared = {task for (task, _), state in page.instances().items() if state is None}
    assert cleared == {"consolidate", "publish", "load", "report"}
    accepted = with_changed_limits(page.workspace, PARAMS)
    assert accepted["tolerated_failure_percentage"] == 22 * 100 / 300
    assert accepted["tolerated_rejected_percentage"] == 5
    [redriven] = read_redrives(page.workspace)
    assert (redriven.kind, redriven.by) == ("publish", "user")
    [(event, owner, extra)] = audit_log(page)
    assert (event, owner, extra["dry_run"]) == ("post_clear_task_instances", "user", False)
    assert send(page, "POST", "publish", {"dry_run": False}, expect=409)["code"] == "active"


@pytest.mark.parametrize(("failed", "consolidate"), [(3, "failed"), (22, "success")])
def test_a_run_that_failed_for_another_reason_cannot_be_published(
    finished_run, failed, consolidate
):
    files = FILES | dict.fromkeys(KEYS[failed:], File())
    states = BROKEN | {"consolidate": consolidate}
    page = finished_run(files, batch_size=100, passed=False, state="failed", states=states)
    assert page.get()["can_publish"] is False
    assert send(page, "POST", "publish", {}, expect=409)["code"] == "not_exceeded"


def test_requests_in_flight_are_those_of_the_batches_that_fetch_now(page):
    page.set_states("running", {("consolidate",): None})
    assert page.get()["fetching"] is None
    progress = all_progress(page.workspace)
    now = {"at": time.time(), "allowed": 16}
    for number, fields in {
        0: {**now, "in_flight": 6, "slowed_by": "503"},
        1: {**now, "in_flight": 16},
        # It was killed a minute ago.
        2: {**now, "in_flight": 16, "at": time.time() - 60},
    }.items():
        write_progress(page.workspace.batch(number), replace(progress[number], **fields))
    assert page.get()["fetching"] == {"in_flight": 22, "allowed": 32, "slowed_by": "503"}
