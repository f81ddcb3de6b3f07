"""Whatever is cleared, in Airflow or on the page, the run ends with the right dataset."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from fanfold.workspace.files import read_jsonl
from fanfold.workspace.paths import FAILED

DAG = "weibo_user_profiles"
UIDS = [str(1404376560 + number) for number in range(20)]
FETCH, PROCESS, CONSOLIDATE = "batch.fetch", "batch.process", "consolidate"


@pytest.fixture
def cleared(stack):
    """``cleared(run_id, *tasks, …)``: clear tasks as Airflow's UI does; return how the run ends."""

    def clear(run_id, *tasks, downstream=False, only_failed=False):
        body = {"dry_run": False, "dag_run_id": run_id, "only_failed": only_failed}
        body |= {"include_downstream": downstream, "task_ids": tasks or None}
        stack.api("POST", f"/api/v2/dags/{DAG}/clearTaskInstances", json=body)
        return stack.wait(DAG, run_id, timeout=120)

    return clear


@pytest.fixture
def page(stack):
    """``page(run_id, part, …)``: what the API of the run's page answers."""

    def ask(run_id, part="", method="GET", **options):
        return stack.api(method, f"/fanfold/api/dags/{DAG}/runs/{run_id}{part}", **options)

    return ask


def users_of(run):
    return pq.read_table(run.dataset / "user_profiles.parquet")["user_id"].to_pylist()


def test_every_way_of_clearing_leads_to_the_right_dataset(stack, simulator, runs, cleared, page):
    """A token that is refused midway fails the other batches; what was fetched is fetched once."""
    simulator.control(token_expires_after=6)
    run_id = stack.trigger(DAG, {"user_ids": UIDS, "batch_size": 4, "concurrency": 1})
    assert stack.wait(DAG, run_id, timeout=120) == "failed"
    states = {each["map_index"]: each["state"] for each in runs.instances(run_id, FETCH)}
    stopped = [index for index, state in states.items() if state == "failed"]
    assert len(stopped) >= 3
    assert set(states.values()) <= {"failed", "success"}
    here = runs.counts(run_id)["ok"]
    assert 0 < here < len(UIDS)
    failure = page(run_id)["failure"]
    assert (failure["task_id"], failure["connection"]) == (FETCH, "weibo_default")
    reasons = {line["reason"] for line in read_jsonl(runs.workspace(run_id).dataset / FAILED)}
    assert reasons == {failure["message"]}
    assert "21327" in failure["message"]
    # No batch insists: each has one request at a time.
    answers = simulator.stats()["statuses"]
    refused = sum(count for status, count in answers.items() if status.startswith("4"))
    assert refused <= len(stopped)
    simulator.reset()

    # A batch alone: fetched, but neither processed nor in the dataset.
    assert cleared(run_id, [FETCH, stopped[-1]]) == "failed"
    assert runs.counts(run_id)["ok"] == here
    cost = page(run_id, "/redrive", method="POST", json={"dry_run": True})
    assert cost["items"] + cost["to_process"] == len(UIDS) - here
    assert cost["to_process"] > 0
    # Then all that Airflow calls failed: not `process`, which is green.
    assert cleared(run_id, only_failed=True) == "success"
    assert users_of(runs.workspace(run_id)) == UIDS
    asked = simulator.stats(all_uids=True)["uids"]
    assert set(asked.values()) == {1}
    assert len(asked) == len(UIDS) - here

    manifest = runs.workspace(run_id).manifest.read_bytes
    files = runs.manifest(run_id)["files"]
    for tasks in ([[FETCH, 2]], [PROCESS], [CONSOLIDATE], []):
        before = manifest()
        assert cleared(run_id, *tasks, downstream=bool(tasks)) == "success"
        assert manifest() != before
        assert runs.manifest(run_id)["files"] == files
    assert simulator.stats(all_uids=True)["uids"] == asked


def test_a_run_without_a_plan_starts_over(stack, runs, cleared, page):
    """`consolidate` is not red, so that only the reason is; then Airflow's clearing recovers it."""
    path = runs.folder / "late.csv"
    run_id = stack.trigger(DAG, {"items_uri": path.as_uri()})
    assert stack.wait(DAG, run_id, timeout=60) == "failed"
    [consolidate] = runs.instances(run_id, CONSOLIDATE)
    assert consolidate["state"] == "upstream_failed"
    failure = page(run_id)["failure"]
    assert failure["task_id"] == "read_items"
    assert "late.csv" in failure["message"]
    assert page(run_id, "/redrive", method="POST", json={"dry_run": True})["starts_over"]
    path.write_text("\n".join(["user_id", *UIDS[:2]]))
    assert cleared(run_id, only_failed=True) == "success"
    assert users_of(runs.workspace(run_id)) == UIDS[:2]
