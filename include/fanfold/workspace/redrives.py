"""What was cleared from the run page: a line for each redrive, and for each *Publish anyway*."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from fanfold.workspace.files import disk_errors, read_jsonl

if TYPE_CHECKING:
    from fanfold.workspace.paths import Workspace

Kind = Literal["redrive", "publish"]


@dataclass(frozen=True, slots=True)
class Redriven:
    """A redrive of a run.

    Attributes:
        at: When it was started (ISO 8601, UTC).
        by: Name of the user.
        items: Items to fetch.
        requests: Requests that these take if none fails.
        kind: ``publish`` if the run was to be published in spite of its failures.
    """

    at: str
    by: str
    items: int
    requests: int
    kind: Kind = "redrive"


def remember_redrive(workspace: Workspace, redriven: Redriven) -> None:
    """Append a redrive.

    Raises:
        WorkspaceUnavailable: The disk is full, read-only or not responding.
    """
    line = json.dumps(asdict(redriven), ensure_ascii=False) + "\n"
    with disk_errors(workspace.root):
        workspace.root.mkdir(parents=True, exist_ok=True)
        with workspace.redrives.open("a", encoding="utf-8") as file:
            file.write(line)


def read_redrives(workspace: Workspace) -> list[Redriven]:
    """Return the redrives of a run, oldest first."""
    if not workspace.redrives.exists():
        return []
    return [Redriven(**line) for line in read_jsonl(workspace.redrives)]
