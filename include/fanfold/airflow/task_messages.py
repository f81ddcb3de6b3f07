"""What a task tells Airflow beside its end: a new label, and that its siblings need not start.

Airflow's task runner has messages for both and no public function for a task; they are sent here
and nowhere else. Neither decides about the data: where Airflow does not take one, work goes on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)


def show_label(text: str) -> None:
    """Show ``text`` as the name of this mapped task until it starts again."""
    from airflow.sdk.execution_time.comms import SetRenderedMapIndex

    _send(SetRenderedMapIndex(rendered_map_index=text))


def skip(tasks: Sequence[tuple[str, int]]) -> None:
    """Mark tasks of this run (task id, map index) as skipped, unless they run or have ended."""
    from airflow.sdk.execution_time.comms import SkipDownstreamTasks

    if tasks:
        _send(SkipDownstreamTasks(tasks=list(tasks)))


def _send(message: Any) -> None:
    from airflow.sdk.execution_time import task_runner

    try:
        task_runner.SUPERVISOR_COMMS.send(message)
    except Exception:
        log.exception("Airflow does not take %s", type(message).__name__)
