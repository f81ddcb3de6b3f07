"""The tables of a run: rows, files, report, and the comparison with the previous run."""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from fanfold.airflow import connections, settings
from fanfold.airflow.graph import PUBLISH, REPORT
from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import MAY_SEE, Run, RunDep
from fanfold.airflow.page.headers import REPORT_POLICY
from fanfold.airflow.page.refusal import Refusal, refusals
from fanfold.airflow.page.runs import is_active, tasks_of
from fanfold.airflow.page.verdict import result_of
from fanfold.model import Manifest
from fanfold.queries.dataset import DatasetPage, rows_of
from fanfold.workspace.files import read_as

router = APIRouter(dependencies=MAY_SEE, tags=["dataset"])

LINK_SECONDS = 300
"""Lifetime of a presigned URL, in seconds."""


@router.get(
    "/dags/{dag_id}/runs/{run_id}/dataset",
    responses=refusals(404, 500, 503),
    operation_id="get_dataset",
)
def get_dataset(
    run: RunDep,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    table: Annotated[
        str | None, Query(max_length=100, description="Name of a fold; default: the dataset.")
    ] = None,
) -> DatasetPage:
    """Return some rows of the dataset or of a fold, and its columns."""
    tables = run.tables()
    if not tables:
        raise Refusal(404, "no_dataset", "This run has no dataset.")
    name = tables[0] if table is None else table
    if name not in tables:
        raise Refusal(404, "no_table", f"This run has no table {name!r}.")
    return rows_of(name, run.workspace.table(name), offset=offset, limit=limit)


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
        raise Refusal(404, "no_file", f"{name} is not there any more.")
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


@router.get(
    "/dags/{dag_id}/runs/{run_id}/comparison",
    responses=refusals(404, 500, 503),
    operation_id="get_comparison",
)
def get_comparison(run: RunDep, session: SessionDep) -> schemas.Comparison:
    """Return the comparison with the previous run: rows new, removed and changed."""
    path = run.workspace.comparison
    if not path.exists():
        raise _why_not_compared(run, session)
    return read_as(path, schemas.Comparison.model_validate)


def _why_not_compared(run: Run, session: Session) -> Refusal:
    report = tasks_of(session, run.dag_run).get(REPORT)
    if report and report.state == "success":
        return Refusal(404, "no_comparison", "There is no earlier dataset to compare with.")
    if is_active(run.dag_run):
        return Refusal(404, "not_compared_yet", f"A run is compared by its task {REPORT!r}.")
    return Refusal(404, "never_compared", f"The task {REPORT!r} of this run did not succeed.")
