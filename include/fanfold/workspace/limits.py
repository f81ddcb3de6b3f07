"""Limits that were changed while the run was active; they take precedence over the Params of the run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from fanfold.model import utc_text
from fanfold.workspace.files import read_as, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.workspace.paths import Workspace

LIMITS: Final = (
    "tolerated_failure_percentage",
    "tolerated_rejected_percentage",
    "concurrency",
    "requests_per_second",
)
"""Params that may be changed."""


def changed_limits(workspace: Workspace) -> dict[str, Any]:
    """Return the changed limits by Param, with ``by`` (user) and ``at``; empty if none was changed.

    Raises:
        Inconsistent: The file is damaged.
    """
    return read_as(workspace.limits, dict) if workspace.limits.exists() else {}


def change_limits(workspace: Workspace, changes: Mapping[str, Any], by: str) -> None:
    """Change some limits; running tasks adopt them within seconds."""
    at = utc_text(datetime.now(UTC))
    write_json(workspace.limits, {**changed_limits(workspace), **changes, "by": by, "at": at})


def with_changed_limits(workspace: Workspace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Params of a run with its changed limits; raises as :func:`changed_limits` does."""
    changed = changed_limits(workspace)
    return {
        **params,
        **{name: changed[name] for name in LIMITS if name in changed and name in params},
    }


def version_of_limits(workspace: Workspace) -> tuple[int, ...]:
    """Return what differs after each change."""
    try:
        facts = workspace.limits.stat()
    except FileNotFoundError:
        return ()
    return facts.st_mtime_ns, facts.st_ino
