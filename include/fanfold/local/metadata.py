"""Airflow's own database, as far as an embedded stack has to look into it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RUN_PREFIX = "make-run__"
"""How the ids of the runs of ``make run`` begin."""
JOBS = {
    "scheduler": "SchedulerJob",
    "triggerer": "TriggererJob",
    "dag-processor": "DagProcessorJob",
}
"""What Airflow calls the components that write in its database that they live."""


def _stamp(database: Path) -> Path:
    return database.with_suffix(".version")


def needs_migration(database: Path) -> bool:
    """Whether the database is missing or was made by another version of Airflow.

    ``airflow db migrate`` takes seconds also when there is nothing to do.
    """
    stamp = _stamp(database)
    return (
        not database.exists()
        or not stamp.exists()
        or stamp.read_text("utf-8") != version("apache-airflow")
    )


def migrated(database: Path) -> None:
    """Note that the database fits the installed Airflow."""
    _stamp(database).write_text(version("apache-airflow"), "utf-8")


def give_up_cut_runs(database: Path) -> int:
    """Mark the unfinished runs of ``make run`` as failed; return how many there were.

    Nobody waits for them any more, and they would hold the slots of the next one. To be called
    while no Airflow process runs. Runs that somebody triggered in the UI go on.
    """
    unfinished = "run_id LIKE ? || '%' AND state IN ('queued', 'running')"
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.execute(
            "UPDATE task_instance SET state = 'failed'"  # noqa: S608 - our own text
            " WHERE (state IS NULL OR state NOT IN"
            " ('success', 'failed', 'skipped', 'upstream_failed', 'removed'))"
            " AND EXISTS (SELECT 1 FROM dag_run WHERE dag_run.dag_id = task_instance.dag_id"
            f" AND dag_run.run_id = task_instance.run_id AND dag_run.{unfinished})",
            (RUN_PREFIX,),
        )
        return connection.execute(
            "UPDATE dag_run SET state = 'failed', end_date = CURRENT_TIMESTAMP"  # noqa: S608
            f" WHERE {unfinished}",
            (RUN_PREFIX,),
        ).rowcount


def forget_job(database: Path, component: str) -> int:
    """Note that a component of Airflow does not run; return how many of it were thought to.

    To be called when none does. The next scheduler then takes over at its start what a killed one
    had queued or running. Otherwise it would wait until the other has been silent for
    ``scheduler_health_check_threshold``, and then for its next look, ``orphaned_tasks_check_interval``
    later: the time-out of a task's heartbeat concerns a scheduler's own tasks only. Likewise the
    triggers of a triggerer.
    """
    job = JOBS.get(component)
    if job is None:
        return 0
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        return connection.execute(
            "UPDATE job SET state = 'failed', end_date = CURRENT_TIMESTAMP"
            " WHERE job_type = ? AND state = 'running'",
            (job,),
        ).rowcount
