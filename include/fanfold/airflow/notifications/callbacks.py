"""Callbacks of all pipelines; imported while DAG files are parsed, hence light.

Airflow runs those of a run's end in the DAG processor, that of a deadline in the triggerer.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fanfold.airflow.graph import CONSOLIDATE, STEPS
from fanfold.airflow.notifications import Notice, State, send_once
from fanfold.errors import Inconsistent
from fanfold.messages import ENGINE

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.workspace.paths import Workspace

_BACKFILL = "backfill"


def on_success(context: Any) -> None:
    """Send the summary of a run that succeeded; nothing after a dry run."""
    from fanfold.model import Manifest
    from fanfold.workspace.files import read_as

    workspace = _workspace(context["dag"].dag_id, context["run_id"])
    if workspace.manifest.exists():
        _send(workspace, State(read_as(workspace.manifest, Manifest.from_json).status), context)


def on_failure(context: Any) -> None:
    """Send the summary of a run that failed: why, and what it has."""
    workspace = _workspace(context["dag"].dag_id, context["run_id"])
    instance = context.get("ti")
    links: tuple[tuple[str, str], ...] = ()
    if context.get("reason") == "timed_out":
        why = "The run took longer than the dagrun_timeout of its DAG."
    elif instance:
        why = f"{instance.task_id} failed: {_reason(workspace, instance)}"
        links = ((f"Log of {instance.task_id}", instance.log_url),)
    else:
        why = "The run failed."
    consolidated = _is_consolidated(workspace, instance, context.get("dag_run"))
    _send(workspace, State.FAILED, context, sentences=[why], consolidated=consolidated, links=links)


def _reason(workspace: Workspace, instance: Any) -> str:
    from fanfold.workspace.errors import read_error

    index = -1 if instance.map_index is None else instance.map_index
    with suppress(Inconsistent):
        error = read_error(workspace, instance.task_id, index)
        if error and error.try_number == instance.try_number:
            # Of several sentences the first, as on the run page.
            return ENGINE.translate(error.message, "en")
    return "see its log"


def _is_consolidated(workspace: Workspace, instance: Any, run: Any) -> bool:
    """Whether a failed run was consolidated since its last start; ``instance`` is the task that failed last."""
    from fanfold.model import Manifest
    from fanfold.workspace.files import read_as

    if not instance or instance.task_id in STEPS[: STEPS.index(CONSOLIDATE)]:
        return False
    if instance.task_id != CONSOLIDATE:
        return True
    with suppress(Inconsistent):
        _, finished = read_as(workspace.manifest, Manifest.from_json).moments
        return bool(run and run.start_date and finished >= run.start_date)
    return False


def waiting(context: Any, sentence: str) -> None:
    """Send a notice that a batch of the current run waits for a quota."""
    from fanfold.airflow.notifications.summary import page_link

    run = context["dag_run"]
    state = State.WAITING_QUOTA
    title = f"{run.dag_id}: {state}"
    notice = Notice(state, title, (sentence,), links=(page_link(run.dag_id, run.run_id),))
    send_once(notice, marker(_workspace(run.dag_id, run.run_id), state))


async def late(context: dict[str, Any]) -> None:
    """Send a notice that a run missed its deadline; none for a backfill, whose dates are past."""
    run = context["dag_run"]
    if run["state"] != "success" and run["run_type"] != _BACKFILL:
        await asyncio.to_thread(_send_late, run, context["deadline"]["deadline_time"])


def _send_late(run: dict[str, Any], deadline: Any) -> None:
    from fanfold.airflow.notifications.summary import run_notice

    workspace = _workspace(run["dag_id"], run["dag_run_id"])
    time = datetime.fromisoformat(str(deadline)).astimezone(UTC)
    notice = run_notice(
        workspace,
        run["dag_id"],
        run["dag_run_id"],
        State.LATE,
        date=datetime.fromisoformat(run["logical_date"] or run["run_after"]),
        sentences=[f"Not complete by {time:%Y-%m-%d %H:%M} UTC: the run is {run['state']}."],
        consolidated=False,
    )
    send_once(notice, marker(workspace, State.LATE))


def _send(workspace: Workspace, state: State, context: Any, **more: Any) -> None:
    from fanfold.airflow.notifications.summary import run_notice

    run = context.get("dag_run")
    seconds = None
    if run and run.start_date:
        seconds = ((run.end_date or datetime.now(UTC)) - run.start_date).total_seconds()
    date = (run.logical_date or run.run_after) if run else None
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    notice = run_notice(workspace, dag_id, run_id, state, date=date, seconds=seconds, **more)
    send_once(notice, marker(workspace, state))


def _workspace(dag_id: str, run_id: str) -> Workspace:
    from fanfold.airflow.settings import shared_directory
    from fanfold.workspace.paths import Workspace

    return Workspace.of_run(shared_directory(), dag_id, run_id)


def marker(workspace: Workspace, state: State) -> Path:
    """Return the file whose existence means that the notice about a run was sent."""
    return workspace.notices / state.value.replace(" ", "-")
