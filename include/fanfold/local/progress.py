"""What ``make run`` and ``make up`` print while they work: lines, and what is going on now."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from fanfold import formats
from fanfold.model import Plan
from fanfold.workspace.progress import all_closed, all_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fanfold.workspace.paths import Workspace

STEPS = (
    "preflight", "read_items", "plan", "batch.fetch", "batch.process",
    "consolidate", "approval", "publish", "load", "report",
)  # fmt: skip
ACTIVE = ("running", "queued", "restarting", "deferred", "awaiting_input")
ENDED = ("success", "failed")
"""States of tasks that ran; the others, such as ``upstream_failed``, took no time."""
PLAIN_EVERY_S = 2.0
"""Minimum seconds between two lines about what is going on, where lines cannot be rewritten."""


class Screen:
    """Prints lines; on a terminal, the last line is rewritten and has a spinner, a clock and what is going on."""

    def __init__(self) -> None:
        self._console = Console(
            force_terminal=sys.stdout.isatty(),
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        )
        self._rewrites = self._console.is_terminal and not self._console.is_dumb_terminal
        one_line = Column(no_wrap=True, overflow="ellipsis")
        self._line = Progress(
            SpinnerColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False, table_column=one_line),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._printed, self._printed_at = "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def say(self, text: str) -> None:
        """Print lines that stay."""
        self._console.print(text)

    def begin(self, text: str) -> None:
        """Start the clock for what is going on from now."""
        self._printed_at = 0.0
        for task in self._line.task_ids:
            self._line.remove_task(task)
        self._line.add_task(text)
        if self._rewrites:
            self._line.start()
        self.show(text)

    def show(self, text: str) -> None:
        """Replace the text of what is going on; where lines cannot be rewritten, print it now and then."""
        if self._rewrites:
            self._line.update(self._line.task_ids[-1], description=text)
        elif text != self._printed and time.monotonic() - self._printed_at > PLAIN_EVERY_S:
            self._printed, self._printed_at = text, time.monotonic()
            self.say(text)

    def end(self, text: str = "") -> None:
        """Remove the line of what was going on; print what came of it."""
        if self._rewrites:  # where it does not, `stop` prints an empty line
            self._line.stop()
        if text:
            self.say(text)


def read_progress(workspace: Workspace) -> str:
    """Return the counts of a run so far, such as ``user: 150 of 300 (50.0%), 2 failed so far``.

    Returns:
        An empty string before the run has a plan.
    """
    try:
        plan = Plan.from_json(json.loads(workspace.plan.read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    batches = all_progress(workspace).values()
    done, failed = sum(each.decided for each in batches), sum(each.failed for each in batches)
    counts = (
        f"{plan.noun[0]}: {done} of {plan.items} ({formats.percent(done / max(plan.items, 1))})"
    )
    if failed:
        counts += f", {failed} failed so far"
    if len(plan.starts) > 1 and (closed := len(all_closed(workspace))):
        counts += f", {closed} of {len(plan.starts)} batches processed"
    return counts


def current_step(instances: Iterable[dict[str, Any]]) -> str:
    """Return the active tasks, such as ``fetch, process waiting for a retry``.

    ``instances`` are task instances as returned by Airflow's REST API.
    """
    by_task: dict[str, set[str]] = {name: set() for name in STEPS}
    for instance in instances:
        by_task.setdefault(instance["task_id"], set()).add(instance["state"] or "")
    active = []
    for task_id, states in by_task.items():
        name = step_name(task_id)
        if "awaiting_input" in states:
            active.append(f"{name} waiting for an answer in Airflow's UI: Required Actions")
        elif not states.isdisjoint(ACTIVE):
            active.append(name + " waiting for its quota" * ("deferred" in states))
        elif "up_for_retry" in states:
            active.append(f"{name} waiting for a retry")
    return ", ".join(active)


def step_name(task_id: str) -> str:
    """Return the name of a step: that of its task without the group."""
    return task_id.removeprefix("batch.")


def ended_steps(instances: Iterable[dict[str, Any]]) -> Iterator[tuple[str, float, str]]:
    """Yield task id, seconds and state of each step that has ended, in the order of their ends.

    ``instances`` are those of tasks that are not mapped.
    """
    ended = (each for each in instances if each["state"] in ENDED)
    for each in sorted(ended, key=lambda instance: str(instance["end_date"])):
        yield each["task_id"], seconds_between(each["start_date"], each["end_date"]), each["state"]


def seconds_between(start: str, end: str) -> float:
    """Return the seconds between two times of Airflow's REST API."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
