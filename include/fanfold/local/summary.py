"""The output of ``make run`` at its end: the results of a run, or the log of the task that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold import formats
from fanfold.messages import Message
from fanfold.model import Manifest, Plan, RunStatus
from fanfold.workspace.errors import read_error
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fanfold.local.stack import Stack


def summary(stack: Stack, dag_id: str, run_id: str, *, seconds: float) -> str:
    """Return the counts of a run and where its results are.

    Raises:
        Inconsistent: The run has no plan or no manifest.
    """
    from fanfold.stages.consolidating import notes
    from fanfold.stages.publishing import run_prefix

    workspace = Workspace.of_run(stack.home.shared, dag_id, run_id)
    plan = Plan.from_json(read_json(workspace.plan))
    manifest = Manifest.from_json(read_json(workspace.manifest))
    if manifest.status is RunStatus.EMPTY and manifest.mode == "merge":
        return (
            f"\n{dag_id}: nothing new, in {formats.duration(seconds)}\n"
            "  The published dataset and the tables stay as they are.\n"
            "  The log of read_items has the number of files that were found."
        )
    counts, report = manifest.counts, workspace.report / "report.html"
    own = stack.uses_own("warehouse_default")
    warehouse = stack.home.warehouse if own else "warehouse_default"
    tables = [
        plan.table_prefix + entry.table
        for entry in manifest.files
        if entry.table and entry.format == "parquet"
    ]
    rows = notes.merged_text(manifest) or str(manifest.rows)
    facts = {
        plan.noun[0]: f"{counts.planned} planned: {counts.ok} ok, {counts.missing} missing,"
        f" {counts.invalid} invalid, {counts.failed} failed"
        f" ({number_of(manifest.requests, 'request')})",
        "from": ", ".join(manifest.places),
        "billed": f"{manifest.gb_seconds:.3g} GB-s" if manifest.gb_seconds else "",
        "size": formats.size(plan.bytes) if plan.bytes else "",
        "rows": f"{rows}, {manifest.rejected} rejected"
        + f", {manifest.repeated} with the key of an earlier row" * bool(manifest.repeated),
        "same": notes.same_text(manifest),
        "pending": notes.pending_text(manifest),
        "dropped": notes.dropped_text(manifest),
        "tables": f"{', '.join(tables)} in {warehouse}",
        "latest": _latest(workspace),
        "warnings": _warnings(workspace),
        "S3": f"s3://{stack.bucket}/{run_prefix(manifest)}",
        "on disk": workspace.dataset,
        "report": report if report.exists() else "",
    }
    return "\n".join(
        [
            "",
            f"{dag_id}: {manifest.status} in {formats.duration(seconds)}{_lost(manifest)}",
            *(f"  {name:<10} {fact}" for name, fact in facts.items() if fact),
            *(
                f"    {entry.key:<28} {number_of(entry.rows, 'row', width=8):<13} {formats.size(entry.bytes):>10}"
                for entry in manifest.files
            ),
        ]
    )


def _warnings(workspace: Workspace) -> str:
    paths = (workspace.consolidated, workspace.published, workspace.load)
    found = [read_json(path) for path in paths if path.exists()]
    return " ".join(Message(**each).text for file in found for each in file["warnings"])


def _lost(manifest: Manifest) -> str:
    """Return why a run is partial, such as ``: 2 failed, 1 rejected row``; empty if it is not."""
    counts = manifest.counts
    lost = {"failed": counts.failed, "invalid": counts.invalid}
    parts = [f"{number} {name}" for name, number in lost.items() if number]
    if manifest.rejected:
        parts.append(number_of(manifest.rejected, "rejected row"))
    return f": {', '.join(parts)}" if parts else ""


def number_of(number: int, noun: str, *, width: int = 0) -> str:
    """Return a number with its noun in the singular or plural."""
    return f"{number:>{width}} {noun}{'s' * (number != 1)}"


def page_of(stack: Stack, dag_id: str, run_id: str) -> str:
    """Return the address of the tab of a run in Airflow."""
    return f"{stack.url}/dags/{dag_id}/runs/{run_id}/plugin/fanfold-items"


def _latest(workspace: Workspace) -> str:
    if not workspace.published.exists() or read_json(workspace.published).get("latest", True):
        return ""
    return "latest.json does not point to this run"


def failure(stack: Stack, dag_id: str, run_id: str) -> str:
    """Return which task failed first and why: what it wrote as the reason, or the end of its log."""
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
    workspace = Workspace.of_run(stack.home.shared, dag_id, run_id)
    error = read_error(workspace, first["task_id"], first["map_index"])
    if error and error.try_number == first["try_number"]:
        return f"{dag_id}: {name} failed{others}: {error.message}"
    log = log_lines(_log(stack, path, first))
    return "\n".join([f"{dag_id}: {name} failed{others}. The end of its log:", "", *log[-20:]])


def retry_reason(stack: Stack, dag_id: str, run_id: str, instance: Mapping[str, Any]) -> str:
    """Return the exception that ended the last try of a task that waits for a retry."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
    errors = [
        f"{error['exc_type']}: {error['exc_value']}"
        for event in _log(stack, path, instance)
        for error in event.get("error_detail") or []
    ]
    return errors[-1] if errors else ""


def _log(stack: Stack, path: str, instance: Mapping[str, Any]) -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = stack.api(
        "GET",
        f"{path}/{instance['task_id']}/logs/{instance['try_number']}",
        params={"map_index": instance["map_index"], "full_content": True},
    )["content"]
    return log


def log_lines(events: Iterable[dict[str, Any]]) -> list[str]:
    """Return the lines of a task's log for display, with the type and text of each exception.

    Without the groups that Airflow's UI folds.
    """
    lines = []
    for event in events:
        if str(event["event"]).startswith(("::group::", "::endgroup::")):
            continue
        time = (event.get("timestamp") or "")[11:19]
        text = f"{time} {event.get('level', ''):<8} {event['event']}"
        lines += text.splitlines()
        for error in event.get("error_detail") or []:
            lines.append(f"         {error['exc_type']}: {error['exc_value']}")
    return lines
