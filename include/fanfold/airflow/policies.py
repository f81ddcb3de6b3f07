"""Retry policy, timeouts and schedule of all pipelines."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import (  # type: ignore[attr-defined] # its stub lacks deadlines
    AsyncCallback,
    CronTriggerTimetable,
    DeadlineAlert,
    DeadlineReference,
    RetryDecision,
    RetryPolicy,
)

from fanfold.airflow.notifications import callbacks
from fanfold.errors import (
    BatchIncomplete,
    Fatal,
    RateLimitUnavailable,
    SinkUnavailable,
    SourceBusy,
    WorkspaceUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

UNAVAILABLE = (RateLimitUnavailable, SinkUnavailable, SourceBusy, WorkspaceUnavailable)
"""Errors of a dependency that is temporarily unavailable."""
UNAVAILABLE_RETRIES = 6
"""Retries while a dependency is unavailable: at least 630 seconds, as ``FIRST_DELAY`` doubles."""
OTHER_RETRIES = 2
"""Retries after any other error: failed items and unexpected exceptions."""
FIRST_DELAY = timedelta(seconds=10)
LONGEST_DELAY = timedelta(minutes=10)


class RetryByError(RetryPolicy):
    """Retry policy by error type.

    A fatal error is not retried, nor a batch in which the source refused each failed item. An unavailable dependency is retried for at least ten minutes,
    without holding a worker slot. Any other error gets ``OTHER_RETRIES`` retries.

    Retries are counted from the last clearing. Airflow's own back-off counts all tries: a cleared
    task that had six tries would wait ten minutes before its first retry.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Mapping[str, Any] | None = None,
    ) -> RetryDecision:
        """Return whether and when the task is retried.

        Args:
            exception: The exception that ended the task.
            try_number: Number of the try that ended, from 1.
            max_tries: Highest try number that may be retried.
            context: Context of the task; if None, the defaults of ``TASKS`` apply.
        """
        if isinstance(exception, Fatal):
            return RetryDecision.fail("Needs manual action.")
        if isinstance(exception, BatchIncomplete) and exception.refused:
            return RetryDecision.fail("The source would refuse the items again.")
        task = context["task"] if context else None
        retries = TASKS["retries"] if task is None else task.retries
        first: timedelta = TASKS["retry_delay"] if task is None else task.retry_delay
        done = max(0, retries - (max_tries - try_number + 1))
        unavailable = isinstance(exception, UNAVAILABLE)
        if not unavailable and done >= OTHER_RETRIES:
            return RetryDecision.fail(f"Tried {done + 1} times.")
        # Jitter: tasks ended by the same outage must not all retry at the same moment.
        delay = first * 2**done * random.uniform(1, 1.25)  # noqa: S311
        return RetryDecision.retry(
            min(delay, LONGEST_DELAY),
            "Dependency unavailable." if unavailable else "Possibly transient.",
        )


TASKS: dict[str, Any] = {
    "owner": "fanfold",
    # Without an exception (a killed process) these apply as they are.
    "retries": UNAVAILABLE_RETRIES,
    "retry_delay": FIRST_DELAY,
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": LONGEST_DELAY,
    "retry_policy": RetryByError(),
    "execution_timeout": timedelta(hours=1),
}
"""Default arguments of all tasks."""


def complete_by(hour: int, *, start: int) -> dict[str, Any]:
    """Return the deadline "complete by 06:00" for :func:`daily`: ``**policies.PIPELINE | policies.complete_by(6, start=19)``.

    At the deadline, people are told of a run that is not complete. Runs without a logical date have none.
    Deadlines are experimental in Airflow 3.3; ``dag.test()`` of a DAG with one fails at the end of a successful run.

    Args:
        hour: When a run shall be complete, in the timezone of the schedule: on the next day, unless it is
            after ``start``. On the days on which a clock changes, it is an hour off.
        start: Hour of the schedule.
    """
    interval = timedelta(hours=(hour - start) % 24 or 24)
    callback = AsyncCallback(callbacks.late)
    return {"deadline": DeadlineAlert(DeadlineReference.DAGRUN_LOGICAL_DATE, interval, callback)}


PIPELINE: dict[str, Any] = {
    # No start_date: with one, Airflow would immediately start the run of the latest past date.
    "catchup": False,
    # Runs of one pipeline are sequential: an older run never overtakes a newer one. Those of a backfill do not
    # count here, they have --max-active-runs.
    "max_active_runs": 1,
    "dagrun_timeout": timedelta(hours=12),
    "default_args": TASKS,
    # Messages to people, if there is a connection notify_default.
    "on_success_callback": callbacks.on_success,
    "on_failure_callback": callbacks.on_failure,
}
"""Arguments of all pipelines."""

SNAPSHOT: dict[str, Any] = {
    **PIPELINE,
    # All but `backfill`, which Airflow then refuses before there is a run.
    "allowed_run_types": [
        *("scheduled", "manual", "operator_triggered", "asset_triggered", "asset_materialization"),
    ],
}
"""Those of pipelines whose source has no history (``history`` of :class:`~fanfold.sources.Api`): a backfill
would write the values of today with dates in the past."""


def daily(hour: int, timezone: str = "UTC") -> CronTriggerTimetable:
    """Return a daily schedule.

    A DAG without scheduled runs and backfills starts with the next date. One with some starts the run of
    the latest past date if it is missing, and none before that: after a pause, an outage, or a backfill
    that ends before it.
    """
    return CronTriggerTimetable(
        f"0 {hour} * * *", timezone=timezone, run_immediately=timedelta(seconds=0)
    )


def hourly(minute: int) -> CronTriggerTimetable:
    """Return an hourly schedule, which starts as :func:`daily` does."""
    return CronTriggerTimetable(f"{minute} * * * *", timezone="UTC", run_immediately=timedelta(0))
