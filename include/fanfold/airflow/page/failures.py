"""Items that are not ``ok`` and rejected rows: by reason, in pages, and as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import MAY_SEE, Run, RunDep
from fanfold.airflow.page.language import TranslatorDep
from fanfold.airflow.page.refusal import Refusal, refusals
from fanfold.airflow.page.runs import tasks_of
from fanfold.airflow.page.verdict import result_of
from fanfold.errors import BadInput
from fanfold.queries.failures import FILES, GroupFilter, Of, groups_of, lines_of, page_of

if TYPE_CHECKING:
    from fanfold.airflow.page.language import Translator
    from fanfold.workspace.failure_groups import Group

router = APIRouter(dependencies=MAY_SEE, tags=["failures"])

GroupQuery = Annotated[str | None, Query(max_length=64, description="Id of a group; default: all.")]
AfterQuery = Annotated[int, Query(ge=0, le=2**53, description="`next` of the previous page.")]
LimitQuery = Annotated[int, Query(ge=1, le=500)]
_JSONL = "application/x-ndjson"
_DOWNLOAD = {
    200: {"content": {_JSONL: {"schema": {"type": "string"}}}},
    **refusals(404, 409, 500, 503),
}


@router.get(
    "/dags/{dag_id}/runs/{run_id}/failures",
    responses=refusals(404, 500, 503),
    operation_id="get_failures",
)
def get_failures(run: RunDep, session: SessionDep, translator: TranslatorDep) -> schemas.Failures:
    """Return the reasons why items are not ``ok`` and why rows were rejected."""
    run.planned()
    final = _is_final(run, session)
    items = groups_of(run.workspace, "items", final=final)
    rows = groups_of(run.workspace, "rows", final=final)
    return schemas.Failures(
        final=final,
        groups=[
            schemas.FailureGroup.model_validate(group).model_copy(
                update={"reason": translator.reason(group.message), **_rule(group, translator)}
            )
            for group in items
        ],
        rejected=[
            schemas.RejectedGroup.model_validate(group).model_copy(update=_rule(group, translator))
            for group in rows
        ],
    )


def _rule(group: Group, translator: Translator) -> dict[str, str | None]:
    return {"rule": translator.rule(group.rule)}


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
    after: AfterQuery = 0,
    limit: LimitQuery = 50,
) -> schemas.FailedItems:
    """Return a page of the items of a group; without one, of the failed and invalid items."""
    of, groups = _selected(run, session, "items", group)
    page = page_of(run.workspace, of, groups, after=after, limit=limit)
    items = [schemas.FailedItem.model_validate(translator.outcome(each)) for each in page.lines]
    return schemas.FailedItems(items=items, next=page.following)


@router.get(
    "/dags/{dag_id}/runs/{run_id}/rejected",
    responses=refusals(404, 409, 500, 503),
    operation_id="get_rejected_rows",
)
def get_rejected_rows(  # noqa: PLR0913, PLR0917 - what a route depends on
    run: RunDep,
    session: SessionDep,
    translator: TranslatorDep,
    group: GroupQuery = None,
    after: AfterQuery = 0,
    limit: LimitQuery = 50,
) -> schemas.RejectedRows:
    """Return a page of the rejected rows."""
    _, groups = _selected(run, session, "rows", group)
    page = page_of(run.workspace, "rows", groups, after=after, limit=limit)
    rows = [schemas.RejectedRow.model_validate(translator.rejected(each)) for each in page.lines]
    return schemas.RejectedRows(rows=rows, next=page.following)


@router.get(
    "/dags/{dag_id}/runs/{run_id}/failures.jsonl",
    response_class=StreamingResponse,
    responses=_DOWNLOAD,
    operation_id="download_failures",
)
def download_failures(
    run: RunDep, session: SessionDep, group: GroupQuery = None
) -> StreamingResponse:
    """Return the items of a group as JSON lines; without one, the failed and invalid items."""
    return _download(run, session, "items", group)


@router.get(
    "/dags/{dag_id}/runs/{run_id}/missing.jsonl",
    response_class=StreamingResponse,
    responses=_DOWNLOAD,
    operation_id="download_missing",
)
def download_missing(run: RunDep, session: SessionDep) -> StreamingResponse:
    """Return the missing items as JSON lines."""
    return _download(run, session, "missing", None)


@router.get(
    "/dags/{dag_id}/runs/{run_id}/rejected.jsonl",
    response_class=StreamingResponse,
    responses=_DOWNLOAD,
    operation_id="download_rejected",
)
def download_rejected(
    run: RunDep, session: SessionDep, group: GroupQuery = None
) -> StreamingResponse:
    """Return the rejected rows as JSON lines."""
    return _download(run, session, "rows", group)


def _download(run: Run, session: Session, of: Of, group: str | None) -> StreamingResponse:
    of, groups = _selected(run, session, of, group)
    return StreamingResponse(
        lines_of(run.workspace, of, groups),
        media_type=_JSONL,
        headers={"Content-Disposition": f'attachment; filename="{FILES[of]}"'},
    )


def _is_final(run: Run, session: Session) -> bool:
    tasks = tasks_of(session, run.dag_run)
    return result_of(run.dag_run, tasks, run.workspace).manifest is not None


def _selected(
    run: Run, session: Session, of: Of, group: str | None
) -> tuple[Of, GroupFilter | None]:
    """Return the file that has the items or rows of a group, and what selects them."""
    run.planned()
    if not _is_final(run, session):
        raise Refusal(409, "not_final", "Items and rows are listed after `consolidate`.")
    try:
        if of == "missing" or group is None:
            return of, None
        groups = GroupFilter(run.workspace, of, [group])
    except BadInput as error:
        raise Refusal(404, "unknown_item", str(error)) from error
    return groups.files[0], groups
