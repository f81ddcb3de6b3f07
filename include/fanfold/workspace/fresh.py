"""A workspace belongs to a run, not to its id: a run that is deleted in Airflow and made again is new.

``run.json`` holds a token of the run, which Airflow keeps with the run and deletes with it.
"""

from __future__ import annotations

import secrets
import shutil
from typing import TYPE_CHECKING

from fanfold.errors import Inconsistent
from fanfold.workspace.files import disk_errors, read_as, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.workspace.paths import Workspace

REMOVED = ".removed-"
"""Prefix of a workspace that is being removed."""


def token_of(workspace: Workspace) -> str:
    """Return the token of the run that the workspace belongs to.

    Raises:
        Inconsistent: It belongs to none yet, or was made by an earlier version.
    """
    try:
        return read_as(workspace.run, lambda found: str(found["token"]))
    except Inconsistent:
        raise Inconsistent(
            f"{workspace.root} was not made by this version of Fanfold. Clear `read_items` of the run with its "
            "downstream tasks: all items are fetched again."
        ) from None


def remove_previous_run(workspace: Workspace, token: str) -> bool:
    """Remove everything that another run with the same id left; return whether there was any.

    The folder is renamed before it is removed: after a crash in between, the run is fresh, and the
    next call in any run of the DAG removes the rest.

    Args:
        workspace: That of the run.
        token: The token of the run.

    Raises:
        WorkspaceUnavailable: The disk is read-only or not responding.
    """
    root = workspace.root
    try:
        if token_of(workspace) == token:
            return False
    except Inconsistent:
        pass  # none, or another version's
    with disk_errors(root.parent):
        # A failed `preflight` has written why and was reported, before the run owned its workspace.
        early = {workspace.errors, workspace.notices}
        there = root.exists() and not early.issuperset(root.iterdir())
        discard(root)
    write_json(workspace.run, {"token": token})
    return there


def discard(root: Path) -> None:
    """Remove a workspace, if it exists, and what is left of removals in its DAG that were cut off."""
    if root.exists():
        root.rename(root.with_name(f"{REMOVED}{secrets.token_hex(8)}"))
    for removed in root.parent.glob(f"{REMOVED}*"):
        # Another run may remove the same folder.
        shutil.rmtree(removed, ignore_errors=True)
