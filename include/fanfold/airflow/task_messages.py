"""Messages from a task to its supervisor for which the Task SDK has no public function.

They change the label of a mapped task and skip tasks that have not started. Both are optional: if
Airflow rejects a message, the task logs it and continues.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)


def show_label(text: str) -> None:
    """Set the label of this mapped task until its next start."""
    from airflow.sdk.execution_time.comms import SetRenderedMapIndex

    _send(SetRenderedMapIndex(rendered_map_index=text))


def skip(tasks: Sequence[tuple[str, int]]) -> None:
    """Mark tasks of this run (task id, map index) as skipped unless they are running or finished."""
    from airflow.sdk.execution_time.comms import SkipDownstreamTasks

    if tasks:
        _send(SkipDownstreamTasks(tasks=list(tasks)))


def _send(message: Any) -> None:
    from airflow.sdk.execution_time import task_runner

    try:
        task_runner.SUPERVISOR_COMMS.send(message)
    except Exception:
        log.exception("Airflow rejected the message %s", type(message).__name__)
