"""What a Celery worker does beside its tasks: it shows that it lives, and stops in order.

A worker that is told to stop (SIGTERM) takes no further task: that is Celery's own warm shutdown. It
would wait for the tasks that it has for as long as they take, and a fetch may take hours, until
whoever stops it loses patience and kills it; their heartbeats would then be missed only after a
while. So after ``FANFOLD_DRAIN_SECONDS`` the tasks are ended: Airflow hears of it at once and repeats
them on another worker, and a fetch goes on with what it has kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

HEARTBEAT = Path("/tmp/worker-heartbeat")  # noqa: S108 - in a container of its own
"""Touched at every heartbeat that the broker took (each two seconds); a health check reads its age."""
DRAIN = "FANFOLD_DRAIN_SECONDS"
PATIENCE = 5.0
"""Seconds for a task that is told to end, before it is killed."""


def drain_seconds(environment: Mapping[str, str] = os.environ) -> float:
    """Return for how many seconds the tasks of a worker go on that is told to stop (60).

    Raises:
        BadConfiguration: ``FANFOLD_DRAIN_SECONDS`` is no number from 0 on.
    """
    value = environment.get(DRAIN, "").strip() or "60"
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise BadConfiguration(f"{DRAIN} is {value!r}; set it to a number of seconds from 0 on.")
    return seconds


def prepare() -> None:
    """Register with Celery; to be called once in the worker's main process, before it begins.

    Raises:
        BadConfiguration: ``FANFOLD_DRAIN_SECONDS`` is wrong.
    """
    from celery import signals

    from fanfold.airflow.task_ends import detect_task_ends

    seconds = drain_seconds()
    detect_task_ends()

    def stopping(**_: Any) -> None:
        # A signal handler must not wait; a thread may.
        threading.Thread(target=end_tasks_after, args=(seconds,), daemon=True).start()

    signals.heartbeat_sent.connect(_lives, weak=False)
    signals.worker_shutting_down.connect(stopping, weak=False)


def _lives(**_: Any) -> None:
    HEARTBEAT.touch()


def end_tasks_after(seconds: float) -> int:
    """Wait, then end every task of this process as Airflow does when it stops one.

    Returns:
        How many tasks were ended.
    """
    import psutil

    time.sleep(seconds)
    # The processes of the pool supervise; tasks are their children. A task that is told to end lets
    # go of what it holds, and need not end by that. Its supervisor reports the end, however it came.
    tasks = [task for supervisor in psutil.Process().children() for task in supervisor.children()]
    for task in tasks:
        with contextlib.suppress(psutil.NoSuchProcess):
            task.terminate()
    _, obstinate = psutil.wait_procs(tasks, timeout=PATIENCE)
    for task in obstinate:
        with contextlib.suppress(psutil.NoSuchProcess):
            task.kill()
    if tasks:
        log.warning("%d tasks are given back after %g s.", len(tasks), seconds)
    return len(tasks)
