"""Runs of a DAG in the stack: what one costs, and how its time divides."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from measuring import SHARED_LOOK_S, Failed, Usage, Watch

from fanfold.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ground import Ground

    from fanfold.local.stack import Stack

PIPELINE = "weibo_user_profiles"
_LOOK_S = 0.4
"""Seconds between two questions whether a run is finished."""


@dataclass(frozen=True, slots=True)
class Phases:
    """How the seconds of a run divide.

    Attributes:
        before: Until the first batch's fetch begins.
        batches: Until the last batch is processed.
        after: Until the run ends.
    """

    before: float
    batches: float
    after: float


@dataclass(frozen=True, slots=True)
class Done:
    """A run that succeeded."""

    usage: Usage
    phases: Phases | None


def run_dag(  # noqa: PLR0913 - the facts of a run
    ground: Ground,
    dag_id: str,
    conf: Mapping[str, Any],
    *,
    items: int = 0,
    latency_ms: float = 0,
    timeout: float = 1800,
    shared_look_s: float = SHARED_LOOK_S,
) -> Done:
    """Run a DAG and return what it cost.

    Args:
        ground: Where.
        dag_id: The DAG.
        conf: Its Params.
        items: The users that it must ask for, and, if it is the pipeline, have in its dataset.
        latency_ms: Of the simulator.
        timeout: Seconds after which it counts as failed.
        shared_look_s: See :class:`measuring.Watch`.

    Returns:
        Seconds from the moment it was queued to its end. CPU and memory are those of the whole stack
        in that time, but for the simulator and the S3 server: scheduler, dag-processor, triggerer,
        api-server and tasks.

    Raises:
        Failed: It did not succeed; the stack is stopped, so that nothing of it runs on.
    """
    stack = ground.stack
    run_id = f"bench__{secrets.token_hex(6)}"
    run_path = f"/api/v2/dags/{dag_id}/dagRuns"
    ground.simulator.control(latency_ms=latency_ms)
    _call_stats_reset(ground)
    tree = ground.tree
    try:
        with Watch(tree, shared_look_s) as watch:
            used = tree.cpu_s()
            # Not the command line: a second of CPU that is no part of the run.
            body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
            stack.api("POST", run_path, json=body)
            run = _finished(stack, run_path, run_id, timeout)
            used = tree.cpu_s() - used
        stats = ground.simulator.stats()
        _check(ground, dag_id, run_id, items, stats)
    except BaseException:
        ground.close_stack()
        raise
    phases = _phases(stack, run, run_path, run_id) if dag_id == PIPELINE else None
    shutil.rmtree(_workspace(ground, dag_id, run_id).root, ignore_errors=True)
    usage = Usage(
        seconds=_moment(run["end_date"]) - _moment(run["queued_at"]),
        cpu_s=used,
        largest_mb=watch.largest_mb,
        together_mb=watch.together_mb,
        fetch_s=stats["seconds"] + latency_ms / 1000 if items else None,
    )
    return Done(usage, phases)


def _finished(stack: Stack, run_path: str, run_id: str, timeout: float) -> dict[str, Any]:
    """Return a run that succeeded."""
    deadline = time.monotonic() + timeout
    while True:
        run: dict[str, Any] = stack.api("GET", f"{run_path}/{run_id}")
        if run["state"] == "success":
            return run
        if run["state"] == "failed":
            raise Failed(f"The run failed: {_failed_tasks(stack, run_path, run_id)}")
        if time.monotonic() > deadline:
            raise Failed(f"The run is {run['state']} after {timeout:g} s")
        time.sleep(_LOOK_S)


def _workspace(ground: Ground, dag_id: str, run_id: str) -> Workspace:
    return Workspace.of_run(ground.stack.home.shared, dag_id, run_id)


def _call_stats_reset(ground: Ground) -> None:
    ground.simulator._call("POST", "/_stats/reset")  # noqa: SLF001 - reset() would drop the latency too


def _check(ground: Ground, dag_id: str, run_id: str, items: int, stats: dict[str, Any]) -> None:
    """Raise where a run was fast because it did less."""
    if stats["requests"] < items:
        raise Failed(f"{stats['requests']} requests for {items} items")
    if items and dag_id == PIPELINE:
        manifest = json.loads(_workspace(ground, dag_id, run_id).manifest.read_text("utf-8"))
        if manifest["counts"]["ok"] != items:
            raise Failed(f"{manifest['counts']} for {items} items")


def _instances(stack: Stack, run_path: str, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = stack.api(
            "GET",
            f"{run_path}/{run_id}/taskInstances",
            params={"limit": 100, "offset": len(found)},
        )
        found += page["task_instances"]
        if not page["task_instances"] or len(found) >= page["total_entries"]:
            return found


def _failed_tasks(stack: Stack, run_path: str, run_id: str) -> str:
    failed = [
        f"{each['task_id']}[{each['map_index']}]"
        for each in _instances(stack, run_path, run_id)
        if each["state"] == "failed"
    ]
    return ", ".join(failed[:5])


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _phases(stack: Stack, run: dict[str, Any], run_path: str, run_id: str) -> Phases:
    batches = [
        each
        for each in _instances(stack, run_path, run_id)
        if each["task_id"].startswith("batch.") and each["start_date"]
    ]
    began = min(_moment(each["start_date"]) for each in batches)
    ended = max(_moment(each["end_date"]) for each in batches)
    return Phases(
        before=began - _moment(run["queued_at"]),
        batches=ended - began,
        after=_moment(run["end_date"]) - ended,
    )
