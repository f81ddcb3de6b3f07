"""Redrive: clear failed tasks and their downstream tasks through Airflow's own API.

Batches with items to fetch and failed tasks are cleared; Airflow adds their downstream tasks. A
selection of items is written to the workspace for the fetch of each batch, together with Airflow's
``clear_number`` of this clearing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from fastapi import APIRouter, Depends
from sqlalchemy import select

from fanfold.airflow.graph import FETCH, PROCESS
from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import Run, RunDep
from fanfold.airflow.page.clearing import (
    Marker,
    body_of,
    clear,
    described,
    lock,
    may_change,
    record,
)
from fanfold.airflow.page.refusal import Refusal, refusals
from fanfold.airflow.page.runs import Instance, broken_instances, tasks_of
from fanfold.airflow.page.verdict import result_of
from fanfold.errors import BadInput
from fanfold.queries.redrive import RedriveScope, all_failed, selection
from fanfold.workspace.redrive import Selection, forget_selections, write_selection

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fanfold.model import Plan

router = APIRouter(tags=["redrive"])
_WANTED = Depends(body_of(schemas.RedriveRequest))


@router.post(
    "/dags/{dag_id}/runs/{run_id}/redrive",
    dependencies=may_change(_WANTED),
    responses=refusals(404, 409, 415, 500, 503),
    openapi_extra=described(schemas.RedriveRequest),
    operation_id="redrive",
)
def redrive(
    run: RunDep,
    wanted: Annotated[schemas.RedriveRequest, _WANTED],
    session: SessionDep,
    user: GetUserDep,
) -> schemas.Redrive:
    """Fetch failed or selected items again; with ``dry_run``, only return the cost."""
    lock(run, session, dry_run=wanted.dry_run)
    scope, seeds = _scope(run, wanted, session)
    tasks = clear(run, seeds, session, user, dry_run=wanted.dry_run)
    items = sum(scope.items.values())
    if not wanted.dry_run:
        _select(run, scope)
        record(run, user, "redrive", items=items, requests=scope.requests)
    return schemas.Redrive(
        dry_run=wanted.dry_run,
        items=items,
        requests=scope.requests,
        batches=len(scope.items),
        tasks=tasks,
    )


def _scope(
    run: Run, wanted: schemas.RedriveRequest, session: Session
) -> tuple[RedriveScope, set[Marker]]:
    """Return the items to fetch again, and the tasks to clear with their downstream tasks.

    Raises:
        Refusal: There is nothing to run again.
    """
    selected = bool(wanted.keys or wanted.groups)
    broken = [] if selected else broken_instances(session, run.dag_run)
    seeds: set[Marker] = {each.task_id for each in broken if each.map_index < 0}
    scope = RedriveScope({}, None, 0)
    if _was_begun(session, run.dag_run):
        plan = run.planned()
        scope = (
            _selection(run, plan, wanted, session) if selected else all_failed(run.workspace, plan)
        )
        seeds |= _mapped_seeds(scope, broken, plan)
    elif selected:
        raise Refusal(409, "nothing", "No item of this run was ever fetched.")
    if not seeds:
        raise Refusal(409, "nothing", "Nothing to redrive: nothing failed.")
    return scope, seeds


def _selection(
    run: Run, plan: Plan, wanted: schemas.RedriveRequest, session: Session
) -> RedriveScope:
    tasks = tasks_of(session, run.dag_run)
    if wanted.groups and result_of(run.dag_run, tasks, run.workspace).manifest is None:
        raise Refusal(409, "not_final", "Items are listed by reason after `consolidate`.")
    try:
        return selection(run.workspace, plan, wanted.keys, wanted.groups)
    except BadInput as error:
        raise Refusal(404, "unknown_item", str(error)) from error


def _was_begun(session: Session, dag_run: DagRun) -> bool:
    """Return whether there are mapped tasks; a dry run has none, nor a run that failed early."""
    return (
        session.scalar(
            select(TaskInstance.id)
            .where(
                TaskInstance.dag_id == dag_run.dag_id,
                TaskInstance.run_id == dag_run.run_id,
                TaskInstance.task_id == FETCH,
                TaskInstance.map_index >= 0,
            )
            .limit(1)
        )
        is not None
    )


def _mapped_seeds(scope: RedriveScope, broken: list[Instance], plan: Plan) -> set[Marker]:
    """Return the batches with items to fetch, and those whose processing failed."""
    if plan.batches and len(scope.items) == plan.batches:
        return {FETCH}  # faster than naming each instance
    seeds: set[Marker] = {(FETCH, batch) for batch in scope.items}
    for each in broken:
        if each.task_id == PROCESS and each.map_index >= 0:
            seeds.add((PROCESS, each.map_index))
    return seeds


def _select(run: Run, scope: RedriveScope) -> None:
    """Write the selected items of each batch to the workspace."""
    workspace = run.workspace
    if scope.selected is None:
        forget_selections(workspace, scope.items)
        return
    for batch, keys in scope.selected.items():
        after = workspace.batch(batch).last_sequence()
        write_selection(workspace.batch(batch), Selection(keys, after, run.dag_run.clear_number))
