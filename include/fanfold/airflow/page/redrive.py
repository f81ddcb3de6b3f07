"""Redrive: clear failed tasks and their downstream tasks through Airflow's own API.

Batches with items to fetch and failed tasks are cleared; Airflow adds their downstream tasks. A
selection of items is written to the workspace for the fetch of each batch, together with Airflow's
``clear_number`` of this clearing.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.common.dagbag import create_dag_bag
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.datamodels.task_instances import ClearTaskInstancesBody
from airflow.api_fastapi.core_api.routes.public.task_instances import post_clear_task_instances
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.api_fastapi.logging.decorators import action_logging
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError
from sqlalchemy import select

from fanfold.airflow.graph import FETCH, PROCESS
from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import MAY_EDIT, SAME_SITE, Run, RunDep
from fanfold.airflow.page.refusal import Refusal, refusals, validation_refusal
from fanfold.airflow.page.runs import Instance, broken_instances, is_active, tasks_of
from fanfold.airflow.page.verdict import result_of
from fanfold.errors import BadInput
from fanfold.queries.redrive import RedriveScope, all_failed, selection
from fanfold.workspace.redrive import Selection, forget_selections, write_selection

if TYPE_CHECKING:
    from airflow.models.dagbag import DBDagBag
    from sqlalchemy.orm import Session

    from fanfold.model import Plan

router = APIRouter(tags=["redrive"])

# The event of a clearing in Airflow's audit log, which omits dry runs.
_EVENT = "post_clear_task_instances"
_JSON = "application/json"

Marker = str | tuple[str, int]
"""A task, or one of its mapped instances, in the form of Airflow's clearing API."""


@cache
def _dag_bag() -> DBDagBag:
    return create_dag_bag()


async def wanted(request: Request) -> schemas.RedriveRequest:
    """Return the validated body; the permissions were checked before.

    FastAPI would read the body before it checks permissions, and Airflow's audit log would take DAG,
    run and task from an unchecked body or query.
    """
    if request.query_params:
        raise Refusal(422, "senseless", "This call accepts a body and no query.")
    if request.headers.get("Content-Type", "").split(";")[0].strip().lower() != _JSON:
        raise Refusal(415, "senseless", f"The body must be JSON, with the Content-Type {_JSON}.")
    try:
        return schemas.RedriveRequest.model_validate(await request.json())
    except ValidationError as error:
        raise validation_refusal(error.errors()) from error
    except (ValueError, RecursionError) as error:
        raise Refusal(422, "senseless", "The body is not JSON.") from error


_WANTED = Depends(wanted)


@router.post(
    "/dags/{dag_id}/runs/{run_id}/redrive",
    dependencies=[SAME_SITE, *MAY_EDIT, _WANTED, Depends(action_logging(_EVENT))],
    responses=refusals(404, 409, 415, 500, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": schemas.RedriveRequest.model_json_schema()}},
        }
    },
    operation_id="redrive",
)
def redrive(
    run: RunDep,
    wanted: Annotated[schemas.RedriveRequest, _WANTED],
    session: SessionDep,
    user: GetUserDep,
) -> schemas.Redrive:
    """Fetch failed or selected items again; with ``dry_run``, only return the cost."""
    if not wanted.dry_run:
        # A concurrent second redrive waits here and is rejected.
        session.refresh(run.dag_run, with_for_update=True)
    scope, seeds = _scope(run, wanted, session)
    cleared = post_clear_task_instances(
        run.dag_run.dag_id,
        _dag_bag(),
        ClearTaskInstancesBody(
            dry_run=wanted.dry_run,
            dag_run_id=run.dag_run.run_id,
            task_ids=seeds,
            include_downstream=True,
            only_failed=False,
            prevent_running_task=True,
        ),
        session,
        user,
    )
    if not wanted.dry_run:
        # The clearing is committed after this function returns; an error here rolls it back.
        _select(run, scope)
    return schemas.Redrive(
        dry_run=wanted.dry_run,
        items=sum(scope.items.values()),
        requests=scope.requests,
        batches=len(scope.items),
        tasks=len(list(cleared.task_instances)),
    )


def _scope(
    run: Run, wanted: schemas.RedriveRequest, session: Session
) -> tuple[RedriveScope, list[Marker]]:
    """Return the items to fetch again, and the tasks to clear with their downstream tasks.

    Raises:
        Refusal: The run is not finished, or there is nothing to run again.
    """
    if is_active(run.dag_run):
        raise Refusal(409, "active", "This run is not finished: failed items may still be fetched.")
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
    return scope, sorted(seeds, key=str)


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
