"""Free space of the shared directory: metric, warning and notice before it is full."""

from __future__ import annotations

import logging
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fanfold import formats
from fanfold.airflow import metrics
from fanfold.airflow.notifications import Notice, State, send_once
from fanfold.workspace.cleaning import size_of
from fanfold.workspace.files import disk_errors
from fanfold.workspace.history import read_history

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.workspace.paths import Workspace

log = logging.getLogger(__name__)

LOW = 0.1
"""Share of free space below which people are told."""
_RUNS = 2
"""How many runs of the size of the last one should fit."""


def notices(shared: Path) -> Path:
    """Return the folder of the marks of notices that are not about one run."""
    return shared / ".notices"


def check(shared: Path, workspace: Workspace | None = None) -> None:
    """Emit the free space; log a warning and send a notice, once a day, if it is low.

    Args:
        shared: The shared directory.
        workspace: That of a run that starts: two like the last run of its DAG should fit, too.

    Raises:
        WorkspaceUnavailable: The disk is not responding.
    """
    metrics.free_space()
    with disk_errors(shared):
        usage = shutil.disk_usage(shared)
        last = _size_of_last(workspace) if workspace else 0
    share = usage.free / usage.total
    if share >= LOW and usage.free >= _RUNS * last:
        return
    title = (
        f"Disk filling up: {formats.size(usage.free)} free of {formats.size(usage.total)} "
        f"({formats.percent(share)})"
    )
    facts = [("Shared directory", str(shared)), ("Free", formats.size(usage.free))]
    if last:
        facts.append(("The last run took", formats.size(last)))
    advice = (
        "Remove old runs with the DAG fanfold_maintenance, or enlarge the disk: docs/retention.md. "
        "A run that finds it full fails, keeps what it has fetched and continues when it is cleared."
    )
    log.warning("%s; %s. %s", title, ", ".join(": ".join(each) for each in facts), advice)
    marker = notices(shared) / f"disk-{datetime.now(UTC):%Y-%m-%d}"
    send_once(Notice(State.DISK, title, (advice,), tuple(facts)), marker)


def _size_of_last(workspace: Workspace) -> int:
    """Return the size of the workspace of the last run of a DAG in bytes; 0 if there is none."""
    history = read_history(workspace.history)
    return size_of(workspace.sibling(history[-1].run_id).root) if history else 0
