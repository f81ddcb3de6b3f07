"""A redrive from the page: its cost, what Airflow clears, and the selections that it writes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fanfold.errors import WorkspaceUnavailable
from fanfold.model import Status
from fanfold.workspace.files import read_json, write_json
from fanfold.workspace.redrive import Selection, selection_of, write_selection
from fanfold.workspace.redrives import read_redrives

from .finished_run import File

KEYS = [f"file-{number:02}.csv" for number in range(40)]
GONE, FAILED = KEYS[3], (KEYS[8], KEYS[9], KEYS[30])
AFTER = {"consolidate", "publish", "load", "report"}


@pytest.fixture
def page(finished_run):
    """A run of 6 batches; three files failed, in batches 1 and 4; one, in batch 0, is missing."""
    files = dict.fromkeys(KEYS, File()) | {GONE: File(status=Status.MISSING)}
    files |= dict.fromkeys(FAILED, File(status=Status.FAILED))
    broken = dict.fromkeys([("batch.fetch", 1), ("batch.fetch", 4)], "failed")
    return finished_run(files, batch_size=7, states=broken)


def cleared(page):
    return {key for key, state in page.instances().items() if state is None}


def test_a_dry_run_changes_nothing(page, monkeypatch):
    from fanfold.airflow.page import redrive

    before = page.instances(), page.dag_run()
    history = page.workspace.history
    write_json(
        history, [{**each, "seconds": 60.0, "fetching": 40.0} for each in read_json(history)]
    )
    cost = page.redrive()
    # Of three items; the run over 40 took as long.
    assert 3 < cost.pop("seconds") < 60
    assert cost == {
        "dry_run": True, "items": 3, "requests": 3, "to_process": 0, "batches": 2, "tasks": 8,
        "starts_over": False,
    }  # fmt: skip
    assert (page.instances(), page.dag_run()) == before
    (group,) = (g for g in page.get("/failures")["groups"] if g["status"] == "failed")
    assert page.redrive(groups=[group["id"]])["items"] == 3
    assert page.redrive(keys=[GONE, KEYS[0]])["items"] == 2
    assert (page.instances(), page.dag_run()) == before
    assert not page.workspace.batch(0).selection_file.exists()

    # Nor does what is refused, or cannot be noted: Airflow's clearing and the selection are one.
    wrong = {"keys": ["nobody"]}, {"groups": ["0000"]}, {"keys": [KEYS[0]], "groups": ["0000"]}
    for body in wrong:
        assert page.redrive(dry_run=False, expect=404, **body)["code"] == "unknown_item"
    page.redrive(dry_run=False, expect=422, everything=True)
    monkeypatch.setattr(redrive, "write_selection", full_disk)
    assert page.redrive(dry_run=False, keys=[FAILED[0]], expect=503)["code"] == "workspace_away"
    assert (page.instances(), page.dag_run()) == before


def full_disk(*_):
    raise WorkspaceUnavailable("no room")


def test_a_redrive_clears_failed_batches_and_downstream_tasks_only(page):
    write_selection(page.workspace.batch(1), Selection((KEYS[7],), 1, 99))
    assert page.redrive(dry_run=False)["tasks"] == 8
    batches = {("batch.fetch", 1), ("batch.fetch", 4), ("batch.process", 1), ("batch.process", 4)}
    assert cleared(page) == batches | {(task, -1) for task in AFTER}
    assert page.dag_run() == ("queued", 1)
    [trace] = read_redrives(page.workspace)
    assert (trace.by, trace.items, trace.requests, trace.kind) == ("user", 3, 3, "redrive")
    # An earlier selection does not narrow it down.
    assert not page.workspace.batch(1).selection_file.exists()
    seen = page.get()
    assert (seen["verdict"], seen["final"]) == ("queued", False)
    assert page.redrive(dry_run=False, expect=409)["code"] == "active"
    assert page.redrive(expect=409)["code"] == "active"


def test_a_selection_is_written_for_the_fetch_of_its_batches(page):
    """One that failed, one that is missing, and one that is here."""
    answer = page.redrive(dry_run=False, keys=[FAILED[0], GONE, KEYS[35]])
    assert (answer["items"], answer["batches"]) == (3, 3)
    assert {index for task, index in cleared(page) if task == "batch.fetch"} == {0, 1, 5}
    _, clearing = page.dag_run()
    for batch, key in ((0, GONE), (1, FAILED[0]), (5, KEYS[35])):
        assert selection_of(page.workspace.batch(batch), clearing).keys == (key,)
        # It does not apply to a later clearing, here or in Airflow's UI.
        assert selection_of(page.workspace.batch(batch), clearing + 1) is None
    assert not page.workspace.batch(4).selection_file.exists()


def test_the_items_of_a_reason_are_selected(page):
    groups = {group["status"]: group["id"] for group in page.get("/failures")["groups"]}
    answer = page.redrive(dry_run=False, groups=[groups["missing"]])
    assert (answer["items"], answer["batches"]) == (1, 1)
    assert selection_of(page.workspace.batch(0), page.dag_run()[1]).keys == (GONE,)


def test_items_that_were_fetched_alone_are_only_processed(compared, page_of):
    """As after a clearing of `batch.fetch` without its downstream tasks."""
    page = page_of(compared)
    ok = [(File().outcome(key, datetime.now(UTC)), []) for key in (KEYS[0], KEYS[1])]
    assert not page.get()["redrive"]["possible"]
    compared.batch(0).write_part(9, ok, "00000000")
    assert page.get()["redrive"]["possible"]
    cost = page.redrive(dry_run=False)
    assert (cost["items"], cost["to_process"], cost["batches"], cost["tasks"]) == (0, 2, 1, 5)
    assert cost["seconds"] is None
    assert cleared(page) == {("batch.process", 0)} | {(task, -1) for task in AFTER}


def test_a_complete_run_has_nothing_to_redrive(compared, page_of):
    page = page_of(compared)
    assert page.redrive(dry_run=False, expect=409)["code"] == "nothing"
    # An item may still be fetched again on request.
    assert page.redrive(keys=[KEYS[0]])["items"] == 1
