"""What a person wants to know at the end of a run."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from fanfold.local import objects, settings
from fanfold.model import Manifest
from fanfold.workspace import Workspace, read_json, safe_name

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.local.stack import Stack


def summary(stack: Stack, dag_id: str, run_id: str, *, seconds: float, stays: bool) -> str:
    """Return the counts, where everything lies, and what to do next.

    Args:
        stack: Where the run was.
        dag_id: Its DAG.
        run_id: The run.
        seconds: From the trigger to the end.
        stays: Whether the stack runs on.

    Raises:
        Inconsistent: The run has no manifest.
    """
    workspace = Workspace.of_run(stack.home.shared, dag_id, run_id)
    manifest = Manifest.from_json(read_json(workspace.manifest))
    counts = manifest.counts
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
        *(_file(entry.key, entry.rows, entry.bytes) for entry in manifest.files),
        f"  S3         s3://{settings.BUCKET}/",
        *(f"    {key}" for key in without_charts(_keys(stack, dag_id, run_id))),
        "",
        _next_steps(stack, stays=stays),
    ]
    return "\n".join(lines)


def _file(key: str, rows: int, size: int) -> str:
    return f"    {key:<16} {rows:>8} rows {size / 1024:>10.1f} KiB"


def _rows(database: Path) -> int | str:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found: int = connection.execute("SELECT count(*) FROM user_profiles").fetchone()[0]
            return found
    except sqlite3.Error:
        return "no"


def _keys(stack: Stack, dag_id: str, run_id: str) -> list[str]:
    folder = f"/run={safe_name(run_id)}/"
    found = [each["Key"] for each in objects.keys(stack.s3(), f"{dag_id}/")]
    return [key for key in found if folder in key or key == f"{dag_id}/latest.json"]


def without_charts(keys: list[str]) -> list[str]:
    """Return the keys, with one line in place of the many of the report's charts."""
    charts = [key for key in keys if key.rpartition("/")[2].startswith("chart-")]
    if not charts:
        return keys
    folder = charts[0].rpartition("/")[0]
    others = [key for key in keys if key not in charts]
    return [*others, f"{folder}/chart-* ({len(charts)} pictures)"]


def _next_steps(stack: Stack, *, stays: bool) -> str:
    if stays:
        return f"Airflow: {stack.url} (login {stack.login}, password {stack.password})"
    return "`make up` starts Airflow's UI with this run in it, and says address and login."


def failure(stack: Stack, dag_id: str, run_id: str) -> str:
    """Return which task failed first, and the end of its log."""
    found = stack.api(
        "GET",
        f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances",
        params={"state": "failed", "limit": 100, "order_by": "end_date"},
    )["task_instances"]
    if not found:
        return f"{dag_id} failed, but none of its tasks did; see {stack.home.logs}."
    first = min(found, key=lambda instance: instance["end_date"] or "~")
    name = first["task_id"]
    if first["map_index"] >= 0:
        name += f" [{first.get('rendered_map_index') or first['map_index']}]"
    others = f" ({len(found)} tasks failed)" if len(found) > 1 else ""
    log = log_file(stack.home.airflow / "logs", first)
    lines = log_lines(log, 20)
    return "\n".join([f"{dag_id}: {name} failed{others}. The end of {log}:", "", *lines])


def log_file(logs: Path, instance: dict[str, Any]) -> Path:
    """Return the log of a task instance's last attempt, where Airflow's default template puts it."""
    folder = (
        logs
        / f"dag_id={instance['dag_id']}"
        / f"run_id={instance['dag_run_id']}"
        / f"task_id={instance['task_id']}"
    )
    if instance["map_index"] >= 0:
        folder /= f"map_index={instance['map_index']}"
    return folder / f"attempt={instance['try_number']}.log"


def log_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a task's log (JSON, an event a line) as people read them."""
    try:
        raw = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return [f"There is no log: {path}"]
    lines = []
    for line in raw:
        lines.extend(_readable(line))
    return lines[-count:]


def _readable(line: str) -> list[str]:
    try:
        event = json.loads(line)
        text = f"{event.get('timestamp', '')[11:19]} {event.get('level', ''):<8} {event['event']}"
        causes = [
            f"         {error['exc_type']}: {error['exc_value']}"
            for error in event.get("error_detail") or []
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [line]
    return [*text.splitlines(), *causes]
