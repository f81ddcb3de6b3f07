"""The progress of a run, read from its workspace and from Airflow, as lines for the user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fanfold.model import Plan
from fanfold.workspace.progress import all_progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fanfold.workspace.paths import Workspace

STEPS = (
    "preflight", "read_items", "plan", "batch.fetch", "batch.process",
    "consolidate", "publish", "load", "report",
)  # fmt: skip
_ACTIVE = {"running", "queued", "restarting", "deferred"}


def read_progress(workspace: Workspace) -> str:
    """Return the counts of a run so far, such as ``user: 150 of 300 (50 %), 2 failed so far``.

    Returns:
        An empty string before the run has a plan.
    """
    try:
        plan = Plan.from_json(json.loads(workspace.plan.read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    batches = all_progress(workspace).values()
    done, failed = sum(each.decided for each in batches), sum(each.failed for each in batches)
    counts = f"{plan.noun[0]}: {done} of {plan.items} ({100 * done // max(plan.items, 1)} %)"
    return f"{counts}, {failed} failed so far" if failed else counts


def current_step(instances: Iterable[dict[str, Any]]) -> str:
    """Return the active tasks, such as ``batch.fetch (4 of 6 done)``.

    ``instances`` are task instances as returned by Airflow's REST API.
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
