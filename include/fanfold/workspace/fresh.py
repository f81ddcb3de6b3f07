"""A workspace belongs to a run, not to its id: a run that is deleted in Airflow and made again is new.

``run.json`` holds when Airflow started the run. That changes when the run is cleared, too, so a run is
compared only until it is cleared, or until the task that compares has run once.
"""

from __future__ import annotations

import secrets
import shutil
from typing import TYPE_CHECKING

from fanfold.errors import Inconsistent
from fanfold.workspace.files import disk_errors, read_json, write_json

if TYPE_CHECKING:
    from fanfold.workspace.paths import Workspace

_REMOVED = ".removed-"


def remove_previous_run(workspace: Workspace, started: str) -> bool:
    """Remove everything that an earlier run with the same id left; return whether there was any.

    For a run that has nothing of its own, or was not cleared. The folder is renamed before it is removed: after a crash in
    between, the run is fresh, and the next call in any run of the DAG removes the rest.

    Args:
        workspace: That of the run.
        started: When Airflow started the run.

    Raises:
        WorkspaceUnavailable: The disk is read-only or not responding.
    """
    root = workspace.root
    try:
        if read_json(workspace.run)["started"] == started:
            return False
    except (Inconsistent, TypeError, KeyError):
        pass  # none, or another version's
    with disk_errors(root.parent):
        there = root.exists()
        if there:
            root.rename(root.with_name(f"{_REMOVED}{secrets.token_hex(8)}"))
        for removed in root.parent.glob(f"{_REMOVED}*"):
            # Another run may remove the same folder.
            shutil.rmtree(removed, ignore_errors=True)
    write_json(workspace.run, {"started": started})
    return there
