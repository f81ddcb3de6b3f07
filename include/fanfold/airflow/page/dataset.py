"""The tables of a run: rows, columns, files and report."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path as FilePath
from typing import Annotated
from urllib.parse import unquote

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, RedirectResponse, Response
from pydantic import StringConstraints
from sqlalchemy.orm import Session

from fanfold.airflow import connections, settings
from fanfold.airflow.graph import PUBLISH
from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import MAY_SEE, Run, RunDep
from fanfold.airflow.page.headers import REPORT_POLICY
from fanfold.airflow.page.heavy import heavy
from fanfold.airflow.page.refusal import Refusal, refusals
from fanfold.airflow.page.runs import tasks_of
from fanfold.airflow.page.verdict import result_of
from fanfold.model import Manifest
from fanfold.queries.dataset import ColumnProfile, Columns, DatasetPage, rows_of

router = APIRouter(dependencies=MAY_SEE, tags=["dataset"])

_KEPT = 32
"""Tables whose columns a process of the api-server keeps."""
LINK_SECONDS = 300
"""Lifetime of a presigned URL, in seconds."""


TableName = Annotated[
    str | None, Query(max_length=100, description="Name of a fold; default: the dataset.")
]
_FILTER = r"^(=|!=|<=?|>=?|contains|null|not null):[^:]*:"
FilterText = Annotated[str, StringConstraints(pattern=_FILTER, max_length=2000)]


@router.get(
    "/dags/{dag_id}/runs/{run_id}/dataset",
    responses=refusals(404, 409, 500, 503),
    operation_id="get_dataset",
)
def get_dataset(  # noqa: PLR0913 - each is a parameter of the query
    run: RunDep,
    *,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    table: TableName = None,
    sort: Annotated[str | None, Query(max_length=200, description="A column.")] = None,
    descending: Annotated[bool, Query()] = False,
    filters: Annotated[
        list[FilterText],
        Query(
            alias="filter",
            max_length=10,
            description="`operator:column:value`, with the column's name percent-encoded; `contains` "
            "with an empty column searches all of them. Rows that fit all filters are returned.",
        ),
    ] = [],  # noqa: B006 - FastAPI copies it
) -> DatasetPage:
    """Return some rows of the dataset or of a fold, and its columns."""
    name, path = _table(run, table)
    if sort is None and not filters:
        return rows_of(name, path, offset=offset, limit=limit)
    from fanfold.queries.selection import Filter, Operator, select_rows

    wanted = []
    for each in filters:
        operator, column, value = each.split(":", 2)
        wanted.append(Filter(unquote(column), Operator(operator), value))
    with heavy():
        return select_rows(
            name,
            path,
            run.workspace.spill,
            offset=offset,
            limit=limit,
            sort=sort,
            descending=descending,
            filters=wanted,
        )


@router.get(
    "/dags/{dag_id}/runs/{run_id}/columns",
    responses=refusals(404, 500, 503),
    operation_id="get_columns",
)
def get_columns(run: RunDep, table: TableName = None) -> Columns:
    """Return the columns of the dataset or of a fold with their values."""
    name, path = _table(run, table)
    with heavy():
        return Columns(name, _profile(path, run.workspace.spill, path.stat().st_mtime_ns))


@lru_cache(_KEPT)
def _profile(path: FilePath, spill: FilePath, _: int) -> tuple[ColumnProfile, ...]:
    """Profile the columns of a table; the last argument changes when it does."""
    from fanfold.queries.columns import profile_columns

    return profile_columns(path, spill)


def _table(run: Run, table: str | None) -> tuple[str, FilePath]:
    """Return the name and the file of a table."""
    tables = run.tables()
    if not tables:
        raise Refusal(404, "no_dataset", "This run has no dataset.")
    name = tables[0] if table is None else table
    if name not in tables:
        raise Refusal(404, "no_table", f"This run has no table {name!r}.")
    return name, run.workspace.table(name)


@router.get(
    "/dags/{dag_id}/runs/{run_id}/files",
    responses=refusals(404, 500, 503),
    operation_id="get_files",
)
def get_files(run: RunDep, session: SessionDep) -> schemas.Files:
    """Return the files of the manifest, with sizes and digests."""
    from fanfold.stages.publishing import run_prefix

    manifest, published = _produced(run, session)
    return schemas.Files(
        published=published,
        prefix=f"s3://{settings.bucket_name()}/{run_prefix(manifest)}",
        files=[schemas.File.model_validate(entry) for entry in manifest.files],
    )


@router.get(
    "/dags/{dag_id}/runs/{run_id}/files/{name}",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {}}},
        307: {"description": "A presigned URL"},
        **refusals(404, 500, 503),
    },
    operation_id="download_file",
)
def download_file(
    run: RunDep,
    session: SessionDep,
    name: Annotated[str, Path(max_length=200, description="A name from `files`.")],
) -> Response:
    """Return a file of the workspace; of a published run, a presigned URL valid for five minutes."""
    from fanfold.stages.publishing import run_prefix
    from fanfold.storage.objects import download_address

    manifest, published = _produced(run, session)
    if name not in {entry.key for entry in manifest.files}:
        raise Refusal(404, "no_file", f"This run has no file {name[:100]!r}.")
    if not published and (path := run.workspace.dataset / name).exists():
        return FileResponse(path, filename=name)
    with connections.bucket(settings.bucket_name()) as bucket:
        address = download_address(bucket, run_prefix(manifest) + name, seconds=LINK_SECONDS)
    if address is None:
        raise Refusal(404, "no_file", f"{name} has been deleted.")
    return RedirectResponse(address)


def _produced(run: Run, session: Session) -> tuple[Manifest, bool]:
    """Return the manifest of a run, and whether its files were published."""
    tasks = tasks_of(session, run.dag_run)
    manifest = result_of(run.dag_run, tasks, run.workspace).manifest
    if manifest is None:
        raise Refusal(404, "no_dataset", "This run has no dataset yet.")
    # A run without rows is published too; its task is skipped then.
    return manifest, PUBLISH in tasks and tasks[PUBLISH].state in {"success", "skipped"}


@router.get(
    "/dags/{dag_id}/runs/{run_id}/report",
    response_class=FileResponse,
    responses={200: {"content": {"text/html": {}}}, **refusals(404, 503)},
    operation_id="get_report",
)
def get_report(run: RunDep) -> FileResponse:
    """Return the report of a run: a self-contained page."""
    path = run.workspace.report / "report.html"
    if not path.exists():
        raise Refusal(404, "no_report", "This run has no report.")
    return FileResponse(
        path,
        media_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": REPORT_POLICY},
    )
