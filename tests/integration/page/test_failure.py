"""The page says why a run failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fanfold.messages import ENGINE, Message
from fanfold.model import utc_text
from fanfold.workspace.errors import TaskError, write_error
from fanfold.workspace.stop import write_stop

from .finished_run import File

FILES = dict.fromkeys([f"file-{number}.csv" for number in range(6)], File())
TOO_MANY = Message("3 of 6 items failed")
REFUSED = ENGINE.message("api.token", status=401)
AFTER = dict.fromkeys(["publish", "load", "report"], "upstream_failed")


@pytest.fixture
def failed(finished_run):
    """``failed(states, …)``: the page of a failed run whose tasks wrote these errors."""

    def page(states, *errors, **of_error):
        page = finished_run(FILES, batch_size=3, passed=False, state="failed", states=states)
        at = utc_text(datetime.now(UTC) + timedelta(seconds=1))
        for task_id, map_index, message in errors:
            fields = {"try_number": 1, "at": at, "message": message, **of_error}
            write_error(page.workspace, TaskError(task_id, map_index, **fields))
        return page

    return page


def ended_last(page, task_id):
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    end = datetime.now(UTC) + timedelta(minutes=1)
    with create_session() as session:
        which = {"run_id": page.run_id, "task_id": task_id}
        session.execute(update(TaskInstance).filter_by(**which).values(end_date=end))


def test_it_is_the_first_failed_task_that_decides_and_no_batch_that_may_be_tolerated(failed):
    states = {("batch.fetch", 1): "failed", "consolidate": "failed", **AFTER}
    errors = ("batch.fetch", 1, Message("503")), ("consolidate", -1, TOO_MANY)
    page = failed(states, *errors)
    ended_last(page, "consolidate")
    found = page.get()["failure"]
    assert (found["task_id"], found["message"], found["connection"]) == (
        "consolidate", "3 of 6 items failed", None,
    )  # fmt: skip
    assert (found["map_index"], found["tries"]) == (-1, 1)
    page.set_states("success")
    assert page.get()["failure"] is None


def test_a_refused_token_is_the_reason_with_its_connection_in_the_language_of_the_reader(failed):
    states = {("batch.fetch", 1): "failed", "consolidate": "failed", **AFTER}
    errors = ("batch.fetch", 1, REFUSED), ("consolidate", -1, TOO_MANY)
    page = failed(states, *errors, connection="shop_default")
    write_stop(page.workspace, REFUSED, "0000")
    found = page.get()["failure"]
    assert (found["task_id"], found["map_index"]) == ("batch.fetch", 1)
    assert (found["message"], found["connection"]) == (REFUSED.text, "shop_default")
    answer = page.client.get(page.path, headers={"Accept-Language": "zh-CN"})
    expected = ENGINE.text("api.token", "zh", {"status": 401})
    assert answer.json()["failure"]["message"] == expected


@pytest.mark.parametrize("of_error", [{"try_number": 2}, {"at": "2020-01-01T00:00:00Z"}])
def test_the_error_of_another_try_or_of_a_deleted_run_is_not_told(failed, of_error):
    states = {"consolidate": "failed", **AFTER}
    found = failed(states, ("consolidate", -1, TOO_MANY), **of_error).get()["failure"]
    assert (found["task_id"], found["message"]) == ("consolidate", None)
