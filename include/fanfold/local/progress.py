"""The progress of a run, read from its workspace and printed line by line."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fanfold.workspace import Workspace

STEPS = (
    "preflight", "read_items", "plan", "batch.fetch", "batch.process",
    "consolidate", "publish", "load", "report",
)  # fmt: skip
_ACTIVE = {"running", "queued", "restarting", "deferred"}


@dataclass(frozen=True, slots=True)
class Progress:
    """The counts of a run so far.

    Attributes:
        items: Planned items; 0 before there is a plan.
        done: Items with an outcome, including failed ones.
        failed: Failed items; a retry may still fetch them.
        requests: Requests made.
    """

    items: int = 0
    done: int = 0
    failed: int = 0
    requests: int = 0


def read_progress(workspace: Workspace) -> Progress:
    """Return the counts of a run so far; a missing file counts as zero."""
    batches = [_document(path) for path in workspace.progress(0).parent.glob("[0-9]*.json")]
    total = {
        name: sum(int(batch.get(name, 0)) for batch in batches)
        for name in ("ok", "missing", "failed", "requests")
    }
    done = total["ok"] + total["missing"] + total["failed"]
    items = int(_document(workspace.plan).get("items", 0))
    return Progress(items, done, total["failed"], total["requests"])


def _document(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def current_step(instances: Iterable[dict[str, Any]]) -> str:
    """Return the active tasks for display, such as ``batch.fetch (4 of 6 done)``.

    Args:
        instances: Task instances as returned by Airflow's REST API.
    """
    by_task: dict[str, list[str]] = {name: [] for name in STEPS}
    for instance in instances:
        by_task.setdefault(instance["task_id"], []).append(instance["state"] or "")
    active = []
    for name, states in by_task.items():
        if _ACTIVE.intersection(states):
            done = sum(state in {"success", "skipped"} for state in states)
            note = f" ({done} of {len(states)} done)" if len(states) > 1 else ""
            waiting = " waiting for its quota" if "deferred" in states else ""
            active.append(name + note + waiting)
        elif "up_for_retry" in states:
            active.append(f"{name} waiting for a retry")
    return ", ".join(active)


class Display:
    """Prints a line when the progress or the step has changed, but not more often than a limit."""

    def __init__(self, *, every_s: float = 2.0) -> None:
        self._every_s = every_s
        self._shown = ("", Progress())
        self._shown_at = -math.inf

    def show(self, progress: Progress, step: str) -> None:
        """Print the progress if it has changed; always when the last item is done."""
        now = time.monotonic()
        former_step, former = self._shown
        step = step or former_step
        finished = progress != former and progress.items and progress.done == progress.items
        if finished or ((step, progress) != self._shown and now - self._shown_at >= self._every_s):
            self._shown, self._shown_at = (step, progress), now
            print("  ".join(filter(None, (_counts(progress), step))), flush=True)


def _counts(progress: Progress) -> str:
    if not progress.items:
        return ""
    share = 100 * progress.done // progress.items
    failed = f", {progress.failed} failed so far" if progress.failed else ""
    return f"{progress.done} of {progress.items} users ({share} %){failed}"
