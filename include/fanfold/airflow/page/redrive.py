"""Run again what failed, and what follows from it, through Airflow's own clearing.

What is cleared are the batches that have something to fetch, and the tasks that failed; Airflow adds
what is downstream of them. A selection of items is written to the workspace for the fetch of each
batch, marked with the number that Airflow gives to this clearing (``clear_number``).
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
from fanfold.airflow.page import answers
from fanfold.airflow.page.access import MAY_EDIT, SAME_SITE, Run, RunDep
from fanfold.airflow.page.refusal import Refusal, refusals, senseless
from fanfold.airflow.page.runs import Instance, broken_instances, is_active, tasks_of
from fanfold.airflow.page.verdict import outcome_of
from fanfold.errors import BadInput
from fanfold.queries.redriving import Scope, all_that_failed, selection
from fanfold.workspace.redrive import Selection, forget_selections, write_selection

if TYPE_CHECKING:
    from airflow.models.dagbag import DBDagBag
    from sqlalchemy.orm import Session

    from fanfold.model import Plan

router = APIRouter(tags=["redrive"])

# Airflow notes a clearing in its audit log under this name, and leaves dry runs out.
_EVENT = "post_clear_task_instances"
_JSON = "application/json"

Marker = str | tuple[str, int]
"""A task, or one mapped instance of it, as Airflow's clearing takes them."""


@cache
def _dag_bag() -> DBDagBag:
    return create_dag_bag()


async def wanted(request: Request) -> answers.RedriveRequest:
    """Return what is asked for; the rights are asked before.

    FastAPI itself would read the body before any right is asked, and Airflow's audit log would take
    DAG, run and task from a body, or a query, that nobody had looked at.
    """
    if request.query_params:
        raise Refusal(422, "senseless", "This call takes a body and no query.")
    if request.headers.get("Content-Type", "").split(";")[0].strip().lower() != _JSON:
        raise Refusal(415, "senseless", f"The body must be JSON, and say so: {_JSON}.")
    try:
        return answers.RedriveRequest.model_validate(await request.json())
    except ValidationError as error:
        raise senseless(error.errors()) from error
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
            "content": {_JSON: {"schema": answers.RedriveRequest.model_json_schema()}},
        }
    },
    operation_id="redrive",
)
def redrive(
    run: RunDep,
    wanted: Annotated[answers.RedriveRequest, _WANTED],
    session: SessionDep,
    user: GetUserDep,
) -> answers.Redrive:
    """Fetch again what failed, or what is selected; with ``dry_run``, only say what that costs."""
    if not wanted.dry_run:
        # Of two people who press the button at once, the second waits here, and is refused.
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
        # The clearing is committed when this function has returned: without the selection it is not.
        _select(run, scope)
    return answers.Redrive(
        dry_run=wanted.dry_run,
        items=sum(scope.items.values()),
        requests=scope.requests,
        batches=len(scope.items),
        tasks=len(list(cleared.task_instances)),
    )


def _scope(
    run: Run, wanted: answers.RedriveRequest, session: Session
) -> tuple[Scope, list[Marker]]:
    """Return what is fetched again, and the tasks that this begins with.

    Raises:
        Refusal: The run is not finished, or there is nothing to run again.
    """
    if is_active(run.dag_run):
        raise Refusal(409, "active", "This run is not finished: what failed may still come.")
    selected = bool(wanted.keys or wanted.groups)
    broken = [] if selected else broken_instances(session, run.dag_run)
    seeds: set[Marker] = {each.task_id for each in broken if each.map_index < 0}
    scope = Scope({}, None, 0)
    if _was_begun(session, run.dag_run):
        plan = run.planned()
        scope = (
            _selection(run, plan, wanted, session)
            if selected
            else all_that_failed(run.workspace, plan)
        )
        seeds |= _mapped_seeds(scope, broken, plan)
    elif selected:
        raise Refusal(409, "nothing", "No item of this run was ever fetched.")
    if not seeds:
        raise Refusal(409, "nothing", "Nothing of this run can be run again: nothing failed.")
    return scope, sorted(seeds, key=str)


def _selection(run: Run, plan: Plan, wanted: answers.RedriveRequest, session: Session) -> Scope:
    tasks = tasks_of(session, run.dag_run)
    if wanted.groups and outcome_of(run.dag_run, tasks, run.workspace).manifest is None:
        raise Refusal(409, "not_final", "Items are listed by reason after `consolidate`.")
    try:
        return selection(run.workspace, plan, wanted.keys, wanted.groups)
    except BadInput as error:
        raise Refusal(404, "unknown_item", str(error)) from error


def _was_begun(session: Session, dag_run: DagRun) -> bool:
    """Return whether there are batches: a dry run, and one that failed before, have none."""
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


def _mapped_seeds(scope: Scope, broken: list[Instance], plan: Plan) -> set[Marker]:
    """Return the batches that have something to fetch, and those whose records are to be processed."""
    if plan.batches and len(scope.items) == plan.batches:
        return {FETCH}  # all of them: Airflow need not look at each
    seeds: set[Marker] = {(FETCH, batch) for batch in scope.items}
    for each in broken:
        if each.task_id == PROCESS and each.map_index >= 0:
            seeds.add((PROCESS, each.map_index))
    return seeds


def _select(run: Run, scope: Scope) -> None:
    """Tell the fetch of each batch which items are meant."""
    workspace = run.workspace
    if scope.selected is None:
        forget_selections(workspace, scope.items)
        return
    for batch, keys in scope.selected.items():
        after = workspace.batch(batch).last_sequence()
        write_selection(workspace.batch(batch), Selection(keys, after, run.dag_run.clear_number))
