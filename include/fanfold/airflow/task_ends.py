"""Lets a worker's slot go on when its task has ended, not seconds later.

Airflow's supervisor of a task listens to the sockets of its process, and looks whether it has ended
each time that it hears something. A process closes its sockets a moment before it is gone. Where the
look falls into that moment, nothing is left to hear, and the supervisor listens to nothing for
``MIN_HEARTBEAT_INTERVAL``, five seconds. The task is done meanwhile for everybody but its slot, which
stays taken. On two busy cores 8 to 14 of the 55 tasks of a run met that (docs/scaling.md).

As seen in Airflow 3.3, ``WatchedSubprocess._service_subprocess``.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def notice_ends() -> None:
    """Have every supervisor of this process wait for the process itself once its sockets are closed."""
    from airflow.sdk.execution_time.supervisor import WatchedSubprocess

    # Nothing public stands between the two.
    listen: Callable[..., int | None] = WatchedSubprocess._service_subprocess  # noqa: SLF001
    if hasattr(listen, "__wrapped__"):
        return

    @functools.wraps(listen)
    def listen_or_wait(self: Any, max_wait_time: float, *args: Any, **kwargs: Any) -> int | None:
        if self.selector.get_map():
            return listen(self, max_wait_time, *args, **kwargs)
        with contextlib.suppress(self._process.TimeoutExpired):
            self._process.wait(timeout=max(0.0, max_wait_time))
        return listen(self, 0.0, *args, **kwargs)

    WatchedSubprocess._service_subprocess = listen_or_wait  # type: ignore[method-assign]  # noqa: SLF001
