"""Messages from a task to its supervisor for which the Task SDK has no public function."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def show_label(text: str) -> None:
    """Set the label of this mapped task until its next start; if Airflow rejects it, log that."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import SetRenderedMapIndex

    try:
        task_runner.SUPERVISOR_COMMS.send(SetRenderedMapIndex(rendered_map_index=text))
    except Exception:
        log.exception("Airflow rejected the label %r", text)
