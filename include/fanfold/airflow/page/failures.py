"""Items that are not in the dataset: by reason, in pages, and as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import MAY_SEE, Run, RunDep
from fanfold.airflow.page.language import Translator, TranslatorDep
from fanfold.airflow.page.refusal import Refusal, refusals
from fanfold.airflow.page.runs import tasks_of
from fanfold.airflow.page.verdict import result_of
from fanfold.errors import BadInput
from fanfold.queries.failures import GroupFilter, groups_of, lines_of, page_of
from fanfold.workspace.failure_groups import Group
from fanfold.workspace.paths import FAILED

router = APIRouter(dependencies=MAY_SEE, tags=["failures"])

GroupQuery = Annotated[
    str | None, Query(max_length=64, description="Id of a group; default: all items.")
]


@router.get(
    "/dags/{dag_id}/runs/{run_id}/failures",
    responses=refusals(404, 500, 503),
    operation_id="get_failures",
)
def get_failures(run: RunDep, session: SessionDep, translator: TranslatorDep) -> schemas.Failures:
    """Return the reasons why items are not in the dataset, failures first."""
    run.planned()
    final = _is_final(run, session)
    groups = groups_of(run.workspace, final=final)
    return schemas.Failures(final=final, groups=[_group(group, translator) for group in groups])


@router.get(
    "/dags/{dag_id}/runs/{run_id}/failures/items",
    responses=refusals(404, 409, 500, 503),
    operation_id="get_failed_items",
)
def get_failed_items(  # noqa: PLR0913, PLR0917 - what a route depends on
    run: RunDep,
    session: SessionDep,
    translator: TranslatorDep,
    group: GroupQuery = None,
    after: Annotated[int, Query(ge=0, le=2**53, description="`next` of the previous page.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> schemas.FailedItems:
    """Return a page of the items that are not in the dataset."""
    failed, groups = _selected(run, session, group)
    page = page_of(failed, groups, after=after, limit=limit)
    return schemas.FailedItems(
        items=[
            schemas.FailedItem.model_validate(translator.outcome(outcome))
            for outcome in page.outcomes
        ],
        next=page.following,
    )


@router.get(
    "/dags/{dag_id}/runs/{run_id}/failures.jsonl",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}},
        **refusals(404, 409, 500, 503),
    },
    operation_id="download_failures",
)
def download_failures(
    run: RunDep, session: SessionDep, group: GroupQuery = None
) -> StreamingResponse:
    """Return the items that are not in the dataset as JSON lines."""
    failed, groups = _selected(run, session, group)
    return StreamingResponse(
        lines_of(failed, groups),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="{FAILED}"'},
    )


def _is_final(run: Run, session: Session) -> bool:
    tasks = tasks_of(session, run.dag_run)
    return result_of(run.dag_run, tasks, run.workspace).manifest is not None


def _selected(run: Run, session: Session, group: str | None) -> tuple[Path, GroupFilter | None]:
    run.planned()
    if not _is_final(run, session):
        raise Refusal(409, "not_final", "Individual items are listed after `consolidate`.")
    workspace = run.workspace
    try:
        groups = GroupFilter(workspace, [group]) if group is not None else None
    except BadInput as error:
        raise Refusal(404, "unknown_item", str(error)) from error
    return workspace.dataset / FAILED, groups


def _group(group: Group, translator: Translator) -> schemas.FailureGroup:
    texts = {"reason": translator.reason(group.message), "rule": translator.rule(group.rule)}
    return schemas.FailureGroup.model_validate(group).model_copy(update=texts)
