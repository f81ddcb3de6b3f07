import pytest

from fanfold.local.progress import current_step, ended_steps, read_progress
from fanfold.model import Basis, Counts, Forecast, Plan
from fanfold.workspace.files import write_json
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import Closed, Progress, write_closed, write_progress

DATE = "2026-01-01T00:00:00Z"


def test_without_a_plan_there_are_no_counts(tmp_path):
    assert read_progress(Workspace(tmp_path / "missing")) == ""


def test_the_counts_of_all_batches_are_added(tmp_path):
    workspace = Workspace(tmp_path)
    forecast = Forecast(10, None, Basis.UNKNOWN)
    plan = Plan("x", 10, 0, (0, 5), DATE, DATE, forecast, noun=("station", "气象站"))
    write_json(workspace.plan, plan.as_json())
    assert read_progress(workspace) == "station: 0 of 10 (0%)"
    write_progress(workspace.batch(0), Progress(0, 5, ok=3, missing=1, failed=1))
    write_progress(workspace.batch(1), Progress(1, 5, ok=2))
    write_closed(workspace.batch(1), Closed(1, Counts(), 0, 0, 0))
    counts = "station: 7 of 10 (70.0%), 1 failed so far, 1 of 2 batches processed"
    assert read_progress(workspace) == counts


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
            [("batch.process", "queued"), ("batch.fetch", "success"), ("batch.fetch", "running")],
            "fetch, process",
        ),
        ([("batch.fetch", "deferred")], "fetch waiting for its quota"),
        (
            [("approval", "awaiting_input")],
            "approval waiting for an answer in Airflow's UI: Required Actions",
        ),
        ([("publish", "up_for_retry")], "publish waiting for a retry"),
        ([("own_task", "queued")], "own_task"),
    ],
)
def test_the_tasks_that_run_are_named_in_the_order_of_the_pipeline(states, shown):
    assert current_step(instances(*states)) == shown


def test_the_steps_that_have_ended_are_named_in_the_order_of_their_ends_with_seconds():
    def step(task, state, start, end):
        at = [f"2026-01-01T00:00:{each}Z" if each else None for each in (start, end)]
        return {"task_id": task, "state": state, "start_date": at[0], "end_date": at[1]}

    found = ended_steps(
        [
            step("load", "failed", "10", "12.5"),
            step("publish", "success", "10", "11"),
            step("report", "running", "11", None),
            step("own", "upstream_failed", "12", "12"),
        ]
    )
    assert list(found) == [("publish", 1.0, "success"), ("load", 2.5, "failed")]
