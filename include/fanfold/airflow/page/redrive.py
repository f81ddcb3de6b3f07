"""Redrive: clear failed tasks and their downstream tasks through Airflow's own API.

Batches with items to fetch and failed tasks are cleared; Airflow adds their downstream tasks. A
selection of items is written to the workspace for the fetch of each batch, together with Airflow's
``clear_number`` of this clearing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from fastapi import APIRouter, Depends
from sqlalchemy import select

from fanfold.airflow.graph import FETCH, PLAN, PROCESS
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
from fanfold.queries.redrive import RedriveScope, all_failed, selection, unprocessed
from fanfold.stages.planning.forecast import forecast
from fanfold.workspace.history import read_history
from fanfold.workspace.redrive import Selection, forget_selections, write_selection

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    work = _work(run, wanted, session)
    tasks = clear(run, work.seeds, session, user, dry_run=wanted.dry_run)
    items, requests = sum(work.scope.items.values()), work.scope.requests
    if not wanted.dry_run:
        _select(run, work.scope)
        record(run, user, "redrive", items=items, requests=requests)
    return schemas.Redrive(
        dry_run=wanted.dry_run,
        items=items,
        requests=requests,
        seconds=_seconds(run, items, requests) if items else None,
        to_process=sum(work.to_process.values()),
        batches=len(work.scope.items.keys() | work.to_process),
        tasks=tasks,
        starts_over=work.starts_over,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What a redrive does.

    Attributes:
        scope: The items to fetch again.
        to_process: Number of items that are fetched and only need processing, by batch.
        starts_over: Whether the run has to be planned again.
        seeds: The tasks to clear with their downstream tasks.
    """

    scope: RedriveScope
    to_process: Mapping[int, int]
    starts_over: bool
    seeds: set[Marker]


def _work(run: Run, wanted: schemas.RedriveRequest, session: Session) -> _Work:
    """Return what to run again.

    Raises:
        Refusal: There is nothing to run again.
    """
    selected = bool(wanted.keys or wanted.groups)
    broken = [] if selected else broken_instances(session, run.dag_run)
    seeds: set[Marker] = {each.task_id for each in broken if each.map_index < 0}
    starts_over = PLAN in seeds
    scope, to_process = RedriveScope({}, None, 0), dict[int, int]()
    if not starts_over and _was_begun(session, run.dag_run):
        plan = run.planned()
        if selected:
            scope = _selection(run, plan, wanted, session)
        else:
            scope, to_process = (
                all_failed(run.workspace, plan),
                unprocessed(run.workspace, plan),
            )
        seeds |= _mapped_seeds(scope, to_process, broken, plan)
    elif selected:
        raise Refusal(409, "nothing", "No item of this run was ever fetched.")
    if not seeds:
        raise Refusal(409, "nothing", "Nothing to redrive: nothing failed.")
    return _Work(scope, to_process, starts_over, seeds)


def _seconds(run: Run, items: int, requests: int) -> float | None:
    """Return the forecast of the redrive, from its start to the end of the run: the middle of its range."""
    plan = run.planned()
    past = read_history(run.workspace.history)
    expected = forecast(requests, plan.quotas, past, datetime.now(UTC), items=items).seconds
    return sum(expected) / 2 if expected else None


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


def _mapped_seeds(
    scope: RedriveScope, to_process: Mapping[int, int], broken: list[Instance], plan: Plan
) -> set[Marker]:
    """Return the batches with items to fetch, and those with items to process."""
    if plan.batches and len(scope.items) == plan.batches:
        return {FETCH}  # faster than naming each instance
    seeds: set[Marker] = {(FETCH, batch) for batch in scope.items}
    failed = {each.map_index for each in broken if each.task_id == PROCESS and each.map_index >= 0}
    return seeds | {(PROCESS, batch) for batch in failed | to_process.keys()}


def _select(run: Run, scope: RedriveScope) -> None:
    """Write the selected items of each batch to the workspace."""
    workspace = run.workspace
    if scope.selected is None:
        forget_selections(workspace, scope.items)
        return
    for batch, keys in scope.selected.items():
        after = workspace.batch(batch).last_sequence()
        write_selection(workspace.batch(batch), Selection(keys, after, run.dag_run.clear_number))
