"""Liveness and graceful shutdown of a Celery worker.

On SIGTERM Celery performs a warm shutdown: the worker takes no new tasks and waits for the running
ones, which may take hours. If it is killed meanwhile, Airflow notices only after missed heartbeats.
So after ``FANFOLD_DRAIN_SECONDS`` the running tasks are terminated: Airflow retries them on another
worker immediately, and a fetch continues with the parts it has written.
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
"""Touched after each heartbeat sent to the broker (every two seconds); the health check reads its age."""
DRAIN = "FANFOLD_DRAIN_SECONDS"
KILL_AFTER = 5.0
"""Seconds between SIGTERM and SIGKILL of a task."""


def drain_seconds(environment: Mapping[str, str] = os.environ) -> float:
    """Return ``FANFOLD_DRAIN_SECONDS``: seconds that running tasks have during a shutdown (60).

    Raises:
        BadConfiguration: It is not a number of at least 0.
    """
    value = environment.get(DRAIN, "").strip() or "60"
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise BadConfiguration(
            f"{DRAIN} is {value!r}; set it to a number of seconds of at least 0."
        )
    return seconds


def prepare() -> None:
    """Register the Celery signal handlers; called once in the worker's main process at its start.

    Raises:
        BadConfiguration: ``FANFOLD_DRAIN_SECONDS`` is wrong.
    """
    from celery import signals

    from fanfold.airflow.task_ends import detect_task_ends

    seconds = drain_seconds()
    detect_task_ends()

    def stopping(**_: Any) -> None:
        # A signal handler must not block.
        threading.Thread(target=end_tasks_after, args=(seconds,), daemon=True).start()

    signals.heartbeat_sent.connect(_touch_heartbeat, weak=False)
    signals.worker_shutting_down.connect(stopping, weak=False)


def _touch_heartbeat(**_: Any) -> None:
    HEARTBEAT.touch()


def end_tasks_after(seconds: float) -> int:
    """Wait, then terminate all running tasks of this process.

    Returns:
        Number of terminated tasks.
    """
    import psutil

    time.sleep(seconds)
    # The pool's processes are supervisors, tasks are their children. On SIGTERM a task calls on_kill
    # and may go on; the supervisor reports its end in any case.
    tasks = [task for supervisor in psutil.Process().children() for task in supervisor.children()]
    for task in tasks:
        with contextlib.suppress(psutil.NoSuchProcess):
            task.terminate()
    _, alive = psutil.wait_procs(tasks, timeout=KILL_AFTER)
    for task in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            task.kill()
    if tasks:
        log.warning("Terminated %d tasks after %g s of draining.", len(tasks), seconds)
    return len(tasks)
