"""The order of the tasks on a run's page."""

from datetime import UTC, datetime

from fanfold.airflow.page.runs import Task, in_order


def started(task_id, minute=None):
    return Task(task_id, started_at=minute and datetime(2026, 11, 27, 12, minute, tzinfo=UTC))


def test_own_tasks_are_among_the_steps_by_their_start():
    """So that of the tasks that failed the first one comes first; `load` may start before `publish`."""
    tasks = [
        started("choose", 2), started("plan", 4), started("consolidate", 5), started("read_items", 3),
        started("export"), started("check", 6), started("publish", 8), started("load", 7),
        started("report"), started("preflight", 1),
    ]  # fmt: skip

    assert [task.task_id for task in in_order(tasks)] == [
        "preflight", "choose", "read_items", "plan", "consolidate", "check", "publish", "load",
        "report", "export",
    ]  # fmt: skip
