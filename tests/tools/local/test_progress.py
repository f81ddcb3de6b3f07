import pytest

from fanfold.local.progress import current_step, read_progress
from fanfold.model import Basis, Forecast, Plan
from fanfold.workspace.files import write_json
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import Progress, write_progress

DATE = "2026-01-01T00:00:00Z"


def test_without_a_plan_there_are_no_counts(tmp_path):
    assert read_progress(Workspace(tmp_path / "missing")) == ""


def test_the_counts_of_all_batches_are_added(tmp_path):
    workspace = Workspace(tmp_path)
    forecast = Forecast(10, None, Basis.UNKNOWN)
    plan = Plan("x", 10, 0, (0, 5), DATE, DATE, forecast, noun=("station", "气象站"))
    write_json(workspace.plan, plan.as_json())
    assert read_progress(workspace) == "station: 0 of 10 (0 %)"
    write_progress(workspace.batch(0), Progress(0, 5, ok=3, missing=1, failed=1))
    write_progress(workspace.batch(1), Progress(1, 5, ok=2))
    assert read_progress(workspace) == "station: 7 of 10 (70 %), 1 failed so far"


def instances(*states):
    return [{"task_id": task, "state": state} for task, state in states]


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        ([], ""),
        ([("preflight", "success"), ("plan", None)], ""),
        ([("preflight", "running")], "preflight"),
        ([("load", "running"), ("publish", "running")], "publish, load"),
        (
            [("batch.fetch", "success"), ("batch.fetch", "running"), ("batch.fetch", None)],
            "batch.fetch (1 of 3 done)",
        ),
        ([("batch.fetch", "deferred")], "batch.fetch waiting for its quota"),
        ([("publish", "up_for_retry")], "publish waiting for a retry"),
        ([("own_task", "queued")], "own_task"),
    ],
)
def test_the_tasks_that_run_are_named_in_the_order_of_the_pipeline(states, shown):
    assert current_step(instances(*states)) == shown
