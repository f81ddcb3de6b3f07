"""How far a run is, read from its workspace, and shown to a person."""

from __future__ import annotations

import json
import math
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TextIO

    from fanfold.workspace import Workspace

STEPS = (
    "preflight", "read_items", "plan", "batch.fetch", "batch.process",
    "consolidate", "publish", "load", "report",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of a run so far.

    Attributes:
        items: Items that are planned; 0 while there is no plan.
        done: Items that have an outcome, failed ones included.
        failed: Items of these that failed so far; a retry may still fetch them.
        requests: Requests made.
    """

    items: int = 0
    done: int = 0
    failed: int = 0
    requests: int = 0


def read_progress(workspace: Workspace) -> Progress:
    """Return the counts of a run so far; a file that is not there yet counts nothing."""
    plan = _document(workspace.plan)
    batches = [_document(path) for path in sorted(workspace.progress(0).parent.glob("[0-9]*.json"))]
    total = {
        name: sum(int(batch.get(name, 0)) for batch in batches)
        for name in ("ok", "missing", "failed", "requests")
    }
    done = total["ok"] + total["missing"] + total["failed"]
    return Progress(int(plan.get("items", 0)), done, total["failed"], total["requests"])


def _document(path: Any) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def current_step(instances: Iterable[dict[str, Any]]) -> str:
    """Return which tasks run now, for people, such as ``batch.fetch (4 of 6 done)``.

    Args:
        instances: Task instances as Airflow's REST API gives them.
    """
    by_task: dict[str, list[str]] = {}
    for instance in instances:
        by_task.setdefault(instance["task_id"], []).append(instance["state"] or "")
    order = [*STEPS, *(name for name in by_task if name not in STEPS)]
    active = []
    for name in order:
        states = by_task.get(name, [])
        if any(state in {"running", "queued", "restarting", "deferred"} for state in states):
            done = sum(state in {"success", "skipped"} for state in states)
            note = f" ({done} of {len(states)} done)" if len(states) > 1 else ""
            waits = " waits for its quota" if "deferred" in states else ""
            active.append(name + note + waits)
        elif "up_for_retry" in states:
            active.append(f"{name} waits to be tried again")
    return ", ".join(active)


class Display(Protocol):
    """Shows how far a run is."""

    def show(self, progress: Progress, step: str) -> None:
        """Show the newest counts and the tasks that run."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


class PlainDisplay:
    """Lines for logs and pipes: one whenever the step changes, and every few seconds."""

    def __init__(self, output: TextIO, *, every_s: float = 2.0) -> None:
        self._output = output
        self._every_s = every_s
        self._shown = ("", Progress())
        self._shown_at = -math.inf  # the clock begins with the machine, which may just have

    def show(self, progress: Progress, step: str) -> None:
        """Write a line if there is news."""
        now = time.monotonic()
        former_step, former = self._shown
        due = now - self._shown_at >= self._every_s
        finished = progress.items and progress.done == progress.items
        if (step and step != former_step and due) or (progress != former and (due or finished)):
            self._shown, self._shown_at = (step or former_step, progress), now
            self.say(_line(progress, step or former_step))

    def say(self, text: str) -> None:
        """Write a line."""
        self._output.write(text + "\n")
        self._output.flush()


def _line(progress: Progress, step: str) -> str:
    counted = ""
    if progress.items:
        share = 100 * progress.done // progress.items
        counted = f"{progress.done} of {progress.items} users ({share} %)"
        if progress.failed:
            counted += f", {progress.failed} failed so far"
    return "  ".join(filter(None, (counted, step)))


@contextmanager
def display() -> Iterator[Display]:
    """Yield a progress bar on a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield PlainDisplay(sys.stdout)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("users"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[step]}", markup=False),
    )
    with Bar(*columns, console=Console(), transient=False) as bar:
        task = bar.add_task("users", total=None, step="")

        class _Bar:
            def show(self, progress: Progress, step: str) -> None:
                bar.update(task, total=progress.items or None, completed=progress.done, step=step)

            def say(self, text: str) -> None:
                bar.console.print(text, markup=False, highlight=False)

        yield _Bar()
