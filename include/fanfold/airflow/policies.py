"""What every pipeline asks of Airflow: retries, time-outs, schedule, tags."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import CronTriggerTimetable, RetryDecision, RetryPolicy

from fanfold.errors import (
    Fatal,
    RateLimitUnavailable,
    SinkUnavailable,
    SourceBusy,
    WorkspaceUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

AWAY = (RateLimitUnavailable, SinkUnavailable, SourceBusy, WorkspaceUnavailable)
"""Errors of what comes back by itself, or by somebody's hand within minutes."""
PATIENT = 6
"""Retries while something is away: with ``FIRST_DELAY`` doubled each time, 630 seconds at least."""
OTHERWISE = 2
"""Retries after any other error: of items that failed, and of what nobody foresaw."""
FIRST_DELAY = timedelta(seconds=10)
LONGEST_DELAY = timedelta(minutes=10)


class Patience(RetryPolicy):
    """How long a task is repeated depends on what it met.

    A fatal error ends it at once: a person has to act. What is away is waited for, ten minutes at
    least, without holding a worker slot. Anything else gets ``OTHERWISE`` retries.

    It counts from the last clearing. Airflow's own back-off does not: a task that was tried six
    times and is cleared would wait ten minutes for its first retry.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Mapping[str, Any] | None = None,
    ) -> RetryDecision:
        """Return whether the task is tried again, and when.

        Args:
            exception: What ended the task.
            try_number: Number of the try that ended, 1 for the first.
            max_tries: Number of the last try that may be followed by another.
            context: The task's; without it, ``TASKS`` holds.
        """
        if isinstance(exception, Fatal):
            return RetryDecision.fail("A person has to act.")
        task = context["task"] if context else None
        retries = TASKS["retries"] if task is None else task.retries
        first: timedelta = TASKS["retry_delay"] if task is None else task.retry_delay
        done = max(0, retries - (max_tries - try_number + 1))
        away = isinstance(exception, AWAY)
        if not away and done >= OTHERWISE:
            return RetryDecision.fail(f"Tried {done + 1} times.")
        # The jitter keeps tasks that one outage has ended from coming back at once.
        delay = first * 2**done * random.uniform(1, 1.25)  # noqa: S311
        return RetryDecision.retry(
            min(delay, LONGEST_DELAY), "Something is away." if away else "It may pass."
        )


TASKS: dict[str, Any] = {
    "owner": "fanfold",
    # These hold as they are where no exception says what happened: a process that was killed.
    "retries": PATIENT,
    "retry_delay": FIRST_DELAY,
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": LONGEST_DELAY,
    "retry_policy": Patience(),
    "execution_timeout": timedelta(hours=1),
}
"""Default arguments of all tasks."""

PIPELINE: dict[str, Any] = {
    # No start_date: with one, Airflow starts the run of the last date that is past at once.
    "catchup": False,
    # Runs of one pipeline follow each other: an older one never overtakes a newer one.
    "max_active_runs": 1,
    "dagrun_timeout": timedelta(hours=12),
    "default_args": TASKS,
}
"""Arguments of all pipelines."""


def daily(hour: int, timezone: str = "UTC") -> CronTriggerTimetable:
    """Return a schedule of once a day, whose first run is the next one, never one that is past."""
    return CronTriggerTimetable(
        f"0 {hour} * * *", timezone=timezone, run_immediately=timedelta(seconds=0)
    )
