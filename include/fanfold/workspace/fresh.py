"""Remove the workspace of a deleted run whose id is used again."""

from __future__ import annotations

import secrets
import shutil
from typing import TYPE_CHECKING

from fanfold.workspace.files import disk_errors

if TYPE_CHECKING:
    from fanfold.workspace.paths import Workspace

_REMOVED = ".removed-"


def remove_previous_run(workspace: Workspace) -> bool:
    """Remove everything that an earlier run with the same id left; return whether there was any.

    For the first try of a run's first task. The folder is renamed before it is removed: after a
    crash in between, the run is fresh, and the next call in any run of the DAG removes the rest.

    Raises:
        WorkspaceUnavailable: The disk is read-only or not responding.
    """
    root = workspace.root
    with disk_errors(root.parent):
        there = root.exists()
        if there:
            root.rename(root.with_name(f"{_REMOVED}{secrets.token_hex(8)}"))
        for removed in root.parent.glob(f"{_REMOVED}*"):
            # Another run may remove the same folder.
            shutil.rmtree(removed, ignore_errors=True)
    return there
