"""Workaround for a bug of Airflow 3.3: a worker slot may stay occupied for 5 s after its task ended.

Airflow's supervisor waits for events on the sockets of the task process and polls the process after
each event. A process closes its sockets shortly before it exits. If the poll after the last event
falls in between, no socket is left, and the supervisor sleeps for MIN_HEARTBEAT_INTERVAL (5 s) before
it polls again. See docs/upstream/task-supervisor-exit.md for the report and docs/scaling.md for the
effect.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

AFFECTED = "1.3."
"""Prefix of the versions of apache-airflow-task-sdk that this module patches."""


def detect_task_ends() -> None:
    """Patch the supervisor to wait for the task process once all its sockets are closed."""
    import airflow.sdk
    from airflow.sdk.execution_time.supervisor import WatchedSubprocess

    # There is no public interface for this.
    original: Callable[..., int | None] = WatchedSubprocess._service_subprocess  # noqa: SLF001
    if hasattr(original, "__wrapped__"):
        return
    if not airflow.sdk.__version__.startswith(AFFECTED):
        log.warning("Task SDK %s is not patched: see %s", airflow.sdk.__version__, __name__)
        return

    @functools.wraps(original)
    def service(self: Any, max_wait_time: float, *args: Any, **kwargs: Any) -> int | None:
        if self.selector.get_map():
            return original(self, max_wait_time, *args, **kwargs)
        with contextlib.suppress(self._process.TimeoutExpired):
            self._process.wait(timeout=max(0.0, max_wait_time))
        return original(self, 0.0, *args, **kwargs)

    WatchedSubprocess._service_subprocess = service  # type: ignore[method-assign]  # noqa: SLF001
