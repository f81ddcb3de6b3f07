"""What every pipeline asks of Airflow: retries, time-outs, schedule, tags."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, ExceptionRetryPolicy, RetryAction, RetryRule

from fanfold.errors import Fatal

RETRIES = ExceptionRetryPolicy(
    rules=[RetryRule(Fatal, action=RetryAction.FAIL, reason="A person has to act.")]
)
"""A fatal error ends its task at once; any other is retried as the task says."""

TASKS: dict[str, Any] = {
    "owner": "fanfold",
    "retries": 2,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRIES,
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
