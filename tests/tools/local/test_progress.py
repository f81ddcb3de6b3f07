import pytest

from fanfold.local.progress import Display, Progress, current_step, read_progress
from fanfold.workspace import Workspace, write_json


def test_no_workspace_yet_is_no_progress(tmp_path):
    assert read_progress(Workspace(tmp_path / "missing")) == Progress()


def test_the_counts_of_all_batches_are_added(tmp_path):
    workspace = Workspace(tmp_path)
    write_json(workspace.plan, {"items": 10, "batches": 2})
    write_json(workspace.progress(0), {"ok": 3, "missing": 1, "failed": 1, "requests": 9})
    write_json(workspace.progress(1), {"ok": 2, "missing": 0, "failed": 0, "requests": 2})
    assert read_progress(workspace) == Progress(items=10, done=7, failed=1, requests=11)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_file_that_cannot_be_read_counts_nothing(tmp_path, text):
    workspace = Workspace(tmp_path)
    workspace.plan.write_text(text)
    assert read_progress(workspace) == Progress()


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


def test_a_line_is_printed_only_for_changes(capsys):
    display = Display(every_s=0)
    for _ in range(3):
        display.show(Progress(), "preflight")
    display.show(Progress(items=300, done=150, failed=2), "batch.fetch")
    display.show(Progress(items=300, done=300), "report")
    assert capsys.readouterr().out.splitlines() == [
        "preflight",
        "150 of 300 users (50 %), 2 failed so far  batch.fetch",
        "300 of 300 users (100 %)  report",
    ]


def test_lines_are_rate_limited_but_the_last_count_is_always_printed(capsys):
    display = Display(every_s=3600)
    for done in range(101):
        display.show(Progress(items=100, done=done), "batch.fetch")
    assert capsys.readouterr().out.splitlines() == [
        "0 of 100 users (0 %)  batch.fetch",
        "100 of 100 users (100 %)  batch.fetch",
    ]
