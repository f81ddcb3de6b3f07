"""The verdict on a run, from its state in Airflow and the status of its dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanfold.airflow.graph import APPROVAL, CONSOLIDATE, FETCH, PLAN
from fanfold.airflow.page.runs import is_active
from fanfold.airflow.page.schemas import Verdict
from fanfold.model import Manifest, RunStatus
from fanfold.workspace.files import read_as

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.models.dagrun import DagRun

    from fanfold.airflow.page.runs import Task
    from fanfold.workspace.paths import Workspace

ACTIVE = frozenset({Verdict.QUEUED, Verdict.RUNNING, Verdict.WAITING, Verdict.APPROVAL})
"""Verdicts of a run that is not finished."""
_BUSY = ("running", "queued", "scheduled", "up_for_retry", "restarting", "up_for_reschedule")


@dataclass(frozen=True, slots=True)
class RunResult:
    """The verdict on a run, and its manifest.

    The manifest is None until the run is consolidated since its last start.
    """

    verdict: Verdict
    manifest: Manifest | None


def result_of(dag_run: DagRun, tasks: Mapping[str, Task], workspace: Workspace) -> RunResult:
    """Return the verdict on a run, and its manifest if it is consolidated."""
    if is_active(dag_run):
        verdict = active(str(dag_run.state), tasks)
        # The answer needs the reasons and the rows.
        asks = verdict is Verdict.APPROVAL
        return RunResult(verdict, _manifest(tasks, workspace) if asks else None)
    manifest = _manifest(tasks, workspace)
    status = manifest.status if manifest else None
    return RunResult(ended(str(dag_run.state), status, planned_only=_planned_only(tasks)), manifest)


def active(state: str, tasks: Mapping[str, Task]) -> Verdict:
    """Return the verdict of a run that is not finished."""
    if state != "running":
        return Verdict.QUEUED
    if APPROVAL in tasks and tasks[APPROVAL].has("awaiting_input"):
        return Verdict.APPROVAL
    deferred = FETCH in tasks and tasks[FETCH].has("deferred")
    busy = any(task.has(*_BUSY) for task in tasks.values())
    return Verdict.WAITING if deferred and not busy else Verdict.RUNNING


def ended(state: str, status: RunStatus | None, *, planned_only: bool) -> Verdict:
    """Return the verdict of a run that is finished.

    ``planned_only`` is whether it ended after its plan (``dry_run``).
    """
    if state != "success":
        return Verdict.FAILED
    if planned_only:
        return Verdict.PLANNED
    return Verdict(status.value) if status else Verdict.COMPLETE


def _planned_only(tasks: Mapping[str, Task]) -> bool:
    return PLAN in tasks and tasks[PLAN].state == "skipped"


def _manifest(tasks: Mapping[str, Task], workspace: Workspace) -> Manifest | None:
    """Return the manifest, unless it is older than the last start of `consolidate`."""
    task = tasks.get(CONSOLIDATE)
    if task is None or task.state not in {"success", "failed"} or not workspace.manifest.exists():
        return None
    manifest = read_as(workspace.manifest, Manifest.from_json)
    _, finished = manifest.moments
    return manifest if task.started_at is None or finished >= task.started_at else None
