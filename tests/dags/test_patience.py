"""The retries of a task depend on its error."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from fanfold.errors import (
    BadConfiguration,
    BatchIncomplete,
    RateLimitUnavailable,
    SinkUnavailable,
    SourceBusy,
    WorkspaceUnavailable,
)

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

DAGS = Path(__file__).parents[2] / "dags"
AWAY = [RateLimitUnavailable, SinkUnavailable, SourceBusy, WorkspaceUnavailable]


@pytest.fixture
def policies(airflow_home):
    assert airflow_home.is_dir()
    from fanfold.airflow import policies

    return policies


def delays(policies, error, *, cleared_after=0):
    """The delays before the retries of a task that always meets the same error, in seconds."""
    max_tries = cleared_after + policies.TASKS["retries"]
    found = []
    for try_number in range(cleared_after + 1, max_tries + 1):
        decision = policies.TASKS["retry_policy"].evaluate(error, try_number, max_tries)
        if decision.action.value == "fail":
            break
        found.append(decision.retry_delay.total_seconds())
    return found


@pytest.mark.parametrize("kind", AWAY)
def test_an_unavailable_dependency_is_waited_for_ten_minutes(policies, kind):
    waits = delays(policies, kind("it is unavailable"))
    assert 600 < sum(waits) < 900
    assert waits[0] < 15, "a short outage costs little"
    assert waits == sorted(waits)


@pytest.mark.parametrize("kind", AWAY)
def test_a_task_that_is_cleared_begins_with_short_waits_again(policies, kind):
    waits = delays(policies, kind("it is unavailable"), cleared_after=7)
    assert waits[0] < 15
    assert sum(waits) > 600


@pytest.mark.parametrize("error", [BatchIncomplete("1 of 9 failed"), KeyError("a mistake of ours")])
def test_any_other_error_gets_two_retries_within_a_minute(policies, error):
    waits = delays(policies, error)
    assert len(waits) == 2
    assert sum(waits) < 60


def test_a_fatal_error_gets_none(policies):
    assert delays(policies, BadConfiguration("the bucket is missing")) == []


def test_a_task_may_set_its_own_retries(policies):
    """What an operator sets counts more than what the pipeline sets."""
    task = SimpleNamespace(retries=1, retry_delay=timedelta(seconds=1))
    decision = policies.TASKS["retry_policy"].evaluate(
        BatchIncomplete("1 of 9 failed"), 1, 1, {"task": task}
    )
    assert decision.retry_delay.total_seconds() < 2


def test_every_task_has_the_policy(policies):
    """Also on the mapped ones."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS))
    assert bag.dags
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert isinstance(task.retry_policy, policies.RetryByError)
            assert task.retries == policies.UNAVAILABLE_RETRIES
