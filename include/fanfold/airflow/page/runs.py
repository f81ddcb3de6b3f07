"""Read-only queries of Airflow's database about a run."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.jobs.job import most_recent_job
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import func, select

from fanfold.airflow.graph import FETCH, PROCESS, READ_ITEMS, STEPS
from fanfold.model import utc_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

ENDED = ("success", "failed")
"""States of a DAG run that do not change by themselves."""
BROKEN = ("failed", "upstream_failed")
"""States of a task instance that a redrive runs again."""


@dataclass(slots=True)
class Task:
    """A task of a run.

    ``states`` has the number of instances by state, ``none`` for those that are not scheduled;
    ``started_at`` is the start of the first one (UTC).
    """

    task_id: str
    mapped: bool = False
    states: dict[str, int] = field(default_factory=dict)
    started_at: datetime | None = None

    @property
    def begins(self) -> datetime:
        """Its start; far in the future if it has not started."""
        return self.started_at or datetime.max.replace(tzinfo=UTC)

    @property
    def state(self) -> str | None:
        """The state of a task that is not mapped, or of one whose instances agree; else None."""
        states = [state for state in self.states if state != "none"]
        return states[0] if len(self.states) == 1 and states else None

    def has(self, *states: str) -> bool:
        """Return whether an instance is in one of these states."""
        return any(self.states.get(state) for state in states)


def moment(value: datetime | None) -> str | None:
    """Return a time in the format of the API."""
    return utc_text(value) if value else None


def is_active(dag_run: DagRun) -> bool:
    """Return whether a run is not finished."""
    return str(dag_run.state) not in ENDED


def date_of(dag_run: DagRun) -> datetime:
    """Return the logical date of a run, as its tasks use it (UTC)."""
    return (dag_run.logical_date or dag_run.run_after).astimezone(UTC)


def begun(session: Session, dag_id: str, run_ids: Collection[str]) -> frozenset[str]:
    """Return the runs that own their workspace: before ``read_items``, it may be that of a deleted run."""
    return frozenset(
        session.scalars(
            select(TaskInstance.run_id).where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id.in_(run_ids),
                TaskInstance.task_id == READ_ITEMS,
                TaskInstance.try_number > 0,
            )
        )
    )


def tasks_of(session: Session, dag_run: DagRun) -> dict[str, Task]:
    """Return the tasks of a run, in the order of the pipeline, with their states counted."""
    mapped = TaskInstance.map_index >= 0
    rows = session.execute(
        select(
            TaskInstance.task_id,
            TaskInstance.state,
            mapped,
            func.count(),
            func.min(TaskInstance.start_date),
        )
        .where(TaskInstance.dag_id == dag_run.dag_id, TaskInstance.run_id == dag_run.run_id)
        .group_by(TaskInstance.task_id, TaskInstance.state, mapped)
    ).all()
    found: dict[str, Task] = {}
    for task_id, state, is_mapped, count, started in rows:
        task = found.setdefault(task_id, Task(task_id))
        task.mapped = task.mapped or bool(is_mapped)
        task.states[str(state or "none")] = count
        if started and (task.started_at is None or started < task.started_at):
            task.started_at = started
    return {task.task_id: task for task in in_order(found.values())}


def in_order(tasks: Collection[Task]) -> list[Task]:
    """Return the tasks in the order of the pipeline, those of the DAG's author among them by their start."""
    places = {step: place for place, step in enumerate(STEPS)}
    order = sorted(
        (each for each in tasks if each.task_id in places), key=lambda each: places[each.task_id]
    )
    own = (each for each in tasks if each.task_id not in places)
    for task in sorted(own, key=lambda each: (each.begins, each.task_id)):
        later = (place for place, each in enumerate(order) if each.begins > task.begins)
        order.insert(next(later, len(order)), task)
    return order


@dataclass(frozen=True, slots=True)
class Instance:
    """A mapped task instance, or one that is not mapped (``map_index`` -1)."""

    task_id: str
    map_index: int
    state: str | None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tries: int = 0
    label: str | None = None

    @property
    def seconds(self) -> float | None:
        """Its duration so far."""
        if self.started_at is None:
            return None
        return ((self.ended_at or datetime.now(UTC)) - self.started_at).total_seconds()


def batch_instances(session: Session, dag_run: DagRun) -> dict[int, dict[str, Instance]]:
    """Return the mapped task instances of all batches, by batch number and task."""
    found: dict[int, dict[str, Instance]] = defaultdict(dict)
    for instance in _instances(session, dag_run, TaskInstance.task_id.in_([FETCH, PROCESS])):
        if instance.map_index >= 0:
            found[instance.map_index][instance.task_id] = instance
    return found


def broken_instances(session: Session, dag_run: DagRun) -> list[Instance]:
    """Return the task instances that are ``failed`` or ``upstream_failed``."""
    return list(_instances(session, dag_run, TaskInstance.state.in_(BROKEN)))


def _instances(session: Session, dag_run: DagRun, condition: object) -> Iterable[Instance]:
    rows = session.execute(
        select(
            TaskInstance.task_id,
            TaskInstance.map_index,
            TaskInstance.state,
            TaskInstance.start_date,
            TaskInstance.end_date,
            TaskInstance.try_number,
            TaskInstance._rendered_map_index,  # noqa: SLF001 - the column behind the hybrid property
        ).where(
            TaskInstance.dag_id == dag_run.dag_id,
            TaskInstance.run_id == dag_run.run_id,
            condition,  # type: ignore[arg-type]
        )
    )
    for task_id, map_index, state, started, ended, tries, label in rows:
        yield Instance(
            task_id, map_index, str(state) if state else None, started, ended, tries, label
        )


def scheduler_is_alive(session: Session) -> bool:
    """Return whether a scheduler sent a heartbeat recently."""
    job = most_recent_job("SchedulerJob", session=session)
    return bool(job and job.is_alive())
