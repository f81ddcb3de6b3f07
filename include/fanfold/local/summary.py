"""The output of ``make run`` at its end: the results of a run, or the log of the task that failed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from fanfold.local import settings
from fanfold.model import Manifest
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace, safe_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fanfold.local.stack import Stack


def summary(stack: Stack, dag_id: str, run_id: str, *, seconds: float, stays: bool) -> str:
    """Return the counts of a run, where its results are, and what to do next.

    Raises:
        Inconsistent: The run has no manifest.
    """
    workspace = Workspace.of_run(stack.home.shared, dag_id, run_id)
    manifest = Manifest.from_json(read_json(workspace.manifest))
    counts = manifest.counts
    if stays:
        next_step = f"Airflow: {stack.url} (login {stack.login}, password {stack.password})"
    else:
        next_step = "`make up` starts Airflow's UI with this run in it and prints its address."
    lines = [
        "",
        f"{dag_id}: {manifest.status} in {seconds:.1f} s",
        (
            f"  users      {counts.planned} planned: {counts.ok} ok, {counts.missing} missing,"
            f" {counts.invalid} invalid, {counts.failed} failed ({manifest.requests} requests)"
        ),
        f"  table      user_profiles, {_rows(stack.home.warehouse)} rows, in {stack.home.warehouse}",
        f"  report     {workspace.report / 'report.html'}",
        f"  on disk    {workspace.dataset}",
        *(
            f"    {entry.key:<16} {entry.rows:>8} rows {entry.bytes / 1024:>10.1f} KiB"
            for entry in manifest.files
        ),
        f"  S3         s3://{settings.BUCKET}/",
        *(f"    {key}" for key in _keys(stack, dag_id, run_id)),
        "",
        next_step,
    ]
    return "\n".join(lines)


def _rows(database: Path) -> int | str:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found: int = connection.execute("SELECT count(*) FROM user_profiles").fetchone()[0]
            return found
    except sqlite3.Error:
        return "no"


def _keys(stack: Stack, dag_id: str, run_id: str) -> list[str]:
    """Return the keys of a run's objects, with one line for all charts of the report."""
    folder = f"/run={safe_name(run_id)}/"
    pages = stack.s3().get_paginator("list_objects_v2")
    found = [
        each["Key"]
        for page in pages.paginate(Bucket=settings.BUCKET, Prefix=f"{dag_id}/")
        for each in page.get("Contents", [])
        if folder in each["Key"] or each["Key"] == f"{dag_id}/latest.json"
    ]
    charts = [key for key in found if f"{folder}chart-" in key]
    others = [key for key in found if key not in charts]
    return [*others, *([f"chart-* ({len(charts)} files)"] if charts else [])]


def failure(stack: Stack, dag_id: str, run_id: str) -> str:
    """Return which task failed first, and the end of its log."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
    query = {"state": "failed", "limit": 100, "order_by": "end_date"}
    found = stack.api("GET", path, params=query)["task_instances"]
    if not found:
        return f"{dag_id} failed, but none of its tasks did; see {stack.home.logs}."
    first = min(found, key=lambda instance: instance["end_date"] or "~")
    name = first["task_id"]
    if first["map_index"] >= 0:
        name += f" [{first.get('rendered_map_index') or first['map_index']}]"
    others = f" ({len(found)} tasks failed)" if len(found) > 1 else ""
    log = stack.api(
        "GET",
        f"{path}/{first['task_id']}/logs/{first['try_number']}",
        params={"map_index": first["map_index"], "full_content": True},
    )["content"]
    return "\n".join(
        [f"{dag_id}: {name} failed{others}. The end of its log:", "", *log_lines(log)[-20:]]
    )


def log_lines(events: Iterable[dict[str, Any]]) -> list[str]:
    """Return the lines of a task's log for display, with the type and text of each exception."""
    lines = []
    for event in events:
        time = (event.get("timestamp") or "")[11:19]
        text = f"{time} {event.get('level', ''):<8} {event['event']}"
        lines += text.splitlines()
        for error in event.get("error_detail") or []:
            lines.append(f"         {error['exc_type']}: {error['exc_value']}")
    return lines
