"""The retries of a task depend on its error."""

from __future__ import annotations

from datetime import timedelta
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
@pytest.mark.parametrize("cleared_after", [0, 7])
def test_an_unavailable_dependency_is_waited_for_ten_minutes(policies, kind, cleared_after):
    """Also by a task that was cleared after some tries."""
    waits = delays(policies, kind("it is unavailable"), cleared_after=cleared_after)
    assert 600 < sum(waits) < 900
    assert waits[0] < 15, "a short outage costs little"
    assert waits == sorted(waits)


def test_any_other_error_gets_two_retries_within_a_minute_and_a_fatal_one_none(policies):
    for error in (BatchIncomplete("1 of 9 failed"), KeyError("a mistake of ours")):
        waits = delays(policies, error)
        assert len(waits) == 2
        assert sum(waits) < 60
    assert delays(policies, BadConfiguration("the bucket is missing")) == []
    assert delays(policies, BatchIncomplete("all 3 are refused", refused=True)) == []


def test_a_task_may_set_its_own_retries(policies):
    """What an operator sets counts more than what the pipeline sets."""
    task = SimpleNamespace(retries=1, retry_delay=timedelta(seconds=1))
    decision = policies.TASKS["retry_policy"].evaluate(
        BatchIncomplete("1 of 9 failed"), 1, 1, {"task": task}
    )
    assert decision.retry_delay.total_seconds() < 2
