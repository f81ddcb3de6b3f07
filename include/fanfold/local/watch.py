"""Wait for the end of a run, and show its progress."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fanfold import formats
from fanfold.local.progress import (
    ACTIVE,
    ENDED,
    current_step,
    ended_steps,
    read_progress,
    seconds_between,
    step_name,
)
from fanfold.local.stack import FINISHED
from fanfold.local.summary import retry_reason
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fanfold.local.progress import Screen
    from fanfold.local.stack import Stack

LOOK_EVERY_S = 2.0
"""Seconds between two looks at the tasks of a run."""
POLL_S = 0.4
"""Seconds between two looks at its state."""
MAPPED = ("batch.fetch", "batch.process")


def watch(stack: Stack, dag_id: str, run_id: str, screen: Screen) -> tuple[str, float]:
    """Show the progress of a run until it is finished; return its state and seconds."""
    workspace = Workspace.of_run(stack.home.shared, dag_id, run_id)
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
    said, reasons, looked_at = set[str](), set[str](), 0.0
    screen.begin("queued")
    while True:
        run = stack.api("GET", path)
        is_finished = run["state"] in FINISHED
        if is_finished or time.monotonic() - looked_at >= LOOK_EVERY_S:
            looked_at = time.monotonic()
            steps = stack.api(
                "GET", f"{path}/taskInstances", params={"map_index": -1, "limit": 100}
            )
            _say_ended_steps(stack, path, steps["task_instances"], said, screen)
            active = _active(stack, path)
            text = current_step(active)
            if any(each["task_id"] in MAPPED for each in active):
                text += f"  {read_progress(workspace)}"
            for instance in active:
                if instance["state"] == "up_for_retry":
                    reason = retry_reason(stack, dag_id, run_id, instance)
                    if reason not in {"", *reasons}:
                        reasons.add(reason)
                        screen.say(f"  {step_name(instance['task_id'])} will be retried: {reason}")
            if text:
                screen.show(text)
        if is_finished:
            screen.end()
            return run["state"], seconds_between(run["start_date"], run["end_date"])
        stack.check()
        time.sleep(POLL_S)


def _active(stack: Stack, path: str) -> list[dict[str, Any]]:
    """Return the first 100 task instances that are active or wait for a retry."""
    query = {"state": [*ACTIVE, "up_for_retry"], "limit": 100}
    found: list[dict[str, Any]] = stack.api("GET", f"{path}/taskInstances", params=query)[
        "task_instances"
    ]
    return found


def _say_ended_steps(
    stack: Stack,
    path: str,
    instances: Iterable[dict[str, Any]],
    said: set[str],
    screen: Screen,
) -> None:
    """Print the steps that have ended since the last look, with their times.

    The mapped tasks have ended when the task after them has.
    """
    for task_id, seconds, state in ended_steps(instances):
        if task_id in said:
            continue
        said.add(task_id)
        if task_id == "consolidate":
            for mapped in MAPPED:
                if times := _mapped_times(stack, path, mapped):
                    _say_step(mapped, *times, screen)
        _say_step(task_id, seconds, state, screen)


def _say_step(task_id: str, seconds: float, state: str, screen: Screen) -> None:
    note = "" if state == "success" else f"  {state.replace('_', ' ')}"
    screen.say(f"  {step_name(task_id):<12} {formats.duration(seconds):>8}{note}")


def _mapped_times(stack: Stack, path: str, task_id: str) -> tuple[float, str] | None:
    """Return seconds from the first start to the last end of a mapped task, and its state."""
    query = {"task_id": task_id, "state": ENDED, "limit": 1}
    first, last, failed = (
        stack.api("GET", f"{path}/taskInstances", params={**query, **change})["task_instances"]
        for change in ({"order_by": "start_date"}, {"order_by": "-end_date"}, {"state": ["failed"]})
    )
    if not first:
        return None
    seconds = seconds_between(first[0]["start_date"], last[0]["end_date"])
    return seconds, "failed" if failed else "success"
