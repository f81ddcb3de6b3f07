"""What a pass of the scheduler costs, by the task instances of a run.

    python bench/cluster/scheduling.py [--json FILE]

A run of so many batches is put into an Airflow of its own (SQLite, the embedded mode's settings), its
first tasks done. Then the two halves of a pass are called as the scheduler's loop calls them, with an
executor that takes tasks and starts none: the look at the run, once while every ``process`` waits for
its ``fetch`` and once when none waits any more; and the critical section, which queues up to 32 tasks.
A plane through the looks gives what a pass costs without tasks, what each task instance adds, and what
each one adds that waits for another.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

sys.path.append(str(Path(__file__).resolve().parents[1]))

BATCHES = (50, 200, 450, 900)
SLOTS = 32
DAG = "weibo_user_profiles"
DONE = ("preflight", "read_items", "plan")
SINGLE = 7
"""Tasks of the DAG that are not mapped."""


class Pass:
    """A scheduler that is called half a pass at a time.

    Args:
        batches: Batches of the run that it looks at.
    """

    def __init__(self, batches: int) -> None:
        from airflow.jobs.job import Job
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
        from airflow.utils.session import create_session

        self.run_id = f"batches-{batches}"
        self._executor = _executor()
        self._session = create_session
        with create_session() as session:
            _add_run(session, self.run_id, batches)
            job = Job()
            session.add(job)
            session.flush()
            self._scheduler = SchedulerJobRunner(job=job, executors=[self._executor])

    def look(self) -> None:
        """Look at the run, and schedule what may be."""
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        with self._session() as session:
            run = session.scalar(select(DagRun).where(DagRun.run_id == self.run_id))
            self._scheduler._schedule_dag_run(run, session)  # noqa: SLF001 - as its loop does

    def queue(self) -> int:
        """Queue what there is room for; return how many tasks."""
        self._executor.queued_tasks.clear()
        with self._session() as session:
            return int(self._scheduler._critical_section_enqueue_task_instances(session))  # noqa: SLF001

    def finish(self, *tasks: str) -> None:
        """Let all instances of these tasks succeed; without a name, the run and all of it."""
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import true, update

        which = TaskInstance.task_id.in_(tasks) if tasks else true()
        with self._session() as session:
            session.execute(
                update(TaskInstance)
                .where(TaskInstance.run_id == self.run_id, which)
                .values(state="success")
            )
            if not tasks:
                done = update(DagRun).where(DagRun.run_id == self.run_id).values(state="success")
                session.execute(done)


def _executor() -> Any:
    from airflow.executors.base_executor import BaseExecutor

    class Idle(BaseExecutor):
        """Takes tasks and starts none."""

        def start(self) -> None:
            """Do nothing."""

    return Idle(parallelism=SLOTS)


def _add_run(session: Any, run_id: str, batches: int) -> None:
    from airflow.models.dag import DagModel
    from airflow.models.dagbag import DBDagBag
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskmap import TaskMap
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import update

    now = datetime.now(UTC)
    dag = DBDagBag().get_latest_version_of_dag(DAG, session=session)
    dag.create_dagrun(
        run_id=run_id,
        logical_date=now - timedelta(seconds=batches),
        data_interval=(now, now),
        run_after=now,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state="running",
        start_date=now,
        session=session,
    )
    session.add(TaskMap(DAG, "plan", run_id, -1, batches, None))
    session.execute(
        update(TaskInstance)
        .where(TaskInstance.run_id == run_id, TaskInstance.task_id.in_(DONE))
        .values(state="success", start_date=now, end_date=now)
    )
    session.execute(update(DagModel).values(max_active_tasks=10_000))


def timed(action: Callable[[], Any], times: int) -> float:
    """Return the median seconds of an action."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def plane(looks: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Return what a look costs without instances, with each one, and with each that waits.

    Args:
        looks: Task instances, how many of them wait, seconds. Least squares of the relative errors,
            or the largest runs alone would decide.
    """
    import numpy as np

    instances, waiting, seconds = np.array(looks, dtype=float).T
    sides = np.stack([np.ones_like(instances), instances, waiting], 1) / seconds[:, None]
    found, *_ = np.linalg.lstsq(sides, np.ones_like(seconds))
    begin, each, more = (max(0.0, float(value)) for value in found)
    return begin, each, more


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=3, help="looks at each run")
    parser.add_argument("--json", type=Path, help="write the parameters of the simulation here")
    given = parser.parse_args()
    from page_server import Airflow

    looks, queued = [], []
    with tempfile.TemporaryDirectory(prefix="fanfold-scheduling-") as folder:
        Airflow(Path(folder))
        print(
            "| task instances | a look while half of them wait, s | while none waits, s | queued, ms each |"
        )
        print("| --: | --: | --: | --: |")
        for batches in BATCHES:
            one = Pass(batches)
            one.look()  # maps the tasks
            waiting = timed(one.look, given.times)
            start = time.perf_counter()
            tasks = one.queue()
            queued.append((time.perf_counter() - start) / tasks)
            one.finish("batch.fetch")
            one.look()  # schedules what waited
            ready = timed(one.look, given.times)
            one.finish()
            instances = 2 * batches + SINGLE
            looks += [(instances, batches, waiting), (instances, 0, ready)]
            print(f"| {instances} | {waiting:.2f} | {ready:.2f} | {1000 * queued[-1]:.1f} |")
    found = dict(zip(("pass_s", "examine_s", "wait_s"), plane(looks), strict=True))
    found["queue_s"] = statistics.median(queued)
    print("\n" + ", ".join(f"`{name}` {1000 * value:.3g} ms" for name, value in found.items()))
    if given.json:
        rounded = {name: float(f"{value:.3g}") for name, value in found.items()}
        given.json.write_text(json.dumps({"overhead": rounded}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
