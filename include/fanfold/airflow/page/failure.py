"""Why a run failed: the reason of the task that failed first."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from fanfold.airflow.graph import APPROVAL, CONSOLIDATE, FETCH
from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import shared_directory
from fanfold.airflow.page.runs import broken_instances
from fanfold.errors import Inconsistent
from fanfold.workspace.errors import TaskError, read_error
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

    from fanfold.airflow.page.language import Translator
    from fanfold.airflow.page.runs import Instance


def failure_of(session: Session, dag_run: DagRun, translator: Translator) -> schemas.Failure | None:
    """Return why a run failed, or None if it did not or no task of it failed."""
    if str(dag_run.state) != "failed":
        return None
    broken = broken_instances(session, dag_run)
    failed = [each for each in broken if each.state == "failed"]
    if not failed:
        return None
    # `preflight` fails before the run owns its workspace.
    workspace = Workspace.of_run(shared_directory(), dag_run.dag_id, dag_run.run_id)
    instance = _decisive(failed, stopped=workspace.stop.exists())
    error = _error_of(workspace, instance)
    return schemas.Failure(
        task_id=instance.task_id,
        map_index=instance.map_index,
        label=instance.label,
        message=translator.reason(error.message) if error else None,
        connection=(error.connection or None) if error else None,
        tries=instance.tries,
    )


def _decisive(failed: list[Instance], *, stopped: bool) -> Instance:
    """Return the instance for which the run failed.

    Failed batches may be tolerated, so it is the first task that is not mapped; but if the source rejected
    the token, the batch in which it did.
    """
    failed = sorted(failed, key=lambda each: (each.ended_at is None, each.ended_at, each.map_index))
    first = next((each for each in failed if each.map_index < 0), failed[0])
    if stopped and first.task_id in {CONSOLIDATE, APPROVAL}:
        return next((each for each in failed if each.task_id == FETCH), first)
    return first


def _error_of(workspace: Workspace, instance: Instance) -> TaskError | None:
    """Return the error of the last try; a killed task has written none, a deleted run an older one."""
    error = None
    with suppress(Inconsistent):
        error = read_error(workspace, instance.task_id, instance.map_index)
    if error is None or error.try_number != instance.tries or instance.started_at is None:
        return None
    return error if datetime.fromisoformat(error.at) >= instance.started_at else None
