"""The comparison of a run with another run of its DAG."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import MAY_SEE, Run, RunDep
from fanfold.airflow.page.heavy import heavy
from fanfold.airflow.page.past import newest_first, past_runs
from fanfold.airflow.page.refusal import Refusal, refusals
from fanfold.model import Plan
from fanfold.queries.comparison_types import Comparison
from fanfold.workspace.files import read_as
from fanfold.workspace.history import Past, like_size, run_before
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

router = APIRouter(dependencies=MAY_SEE, tags=["comparison"])

_KEPT = 32
"""Comparisons that a process of the api-server keeps."""
_CHUNK = 1 << 20
"""Bytes."""

WithRun = Annotated[
    str | None,
    Query(alias="with", max_length=250, description="Id of the other run; default: as in `runs`."),
]
OfColumn = Annotated[
    str | None,
    Query(max_length=200, description="A numeric column; default: the pipeline's measure."),
]


@router.get(
    "/dags/{dag_id}/runs/{run_id}/runs", responses=refusals(404, 500, 503), operation_id="get_runs"
)
def get_runs(run: RunDep, session: SessionDep) -> schemas.OtherRuns:
    """Return the runs with which a run can be compared, the newest first."""
    plan = _with_dataset(run)
    runs = _runs(run, session, plan)
    return schemas.OtherRuns(
        runs=[
            schemas.OtherRun(
                run_id=past.run_id,
                logical_date=past.logical_date,
                status=past.status,
                items=past.counts.planned,
                rows=past.rows,
            )
            for past in newest_first(runs)
            if past.run_id != run.dag_run.run_id
        ],
        default=_default(run, plan, runs),
    )


@router.get(
    "/dags/{dag_id}/runs/{run_id}/comparison",
    responses=refusals(404, 409, 500, 503),
    operation_id="get_comparison",
)
def get_comparison(
    run: RunDep, session: SessionDep, with_run: WithRun = None, column: OfColumn = None
) -> Comparison:
    """Return the differences to the dataset of another run: rows new, gone and changed."""
    plan, past = _sides(run, session, with_run)
    other = run.workspace.sibling(past.run_id)
    files = (run.workspace.table(plan.dataset), other.table(plan.dataset))
    stamps = tuple(path.stat().st_mtime_ns for path in files)
    with heavy():
        return _compare(run.workspace.root, other.root, column, stamps)


@lru_cache(_KEPT)
def _compare(root: Path, other: Path, column: str | None, _: tuple[int, ...]) -> Comparison:
    """Compare two runs; the last argument changes when their datasets do."""
    from fanfold.queries.comparison import compare

    workspace = Workspace(root)
    plan = read_as(workspace.plan, Plan.from_json)
    return compare(workspace, plan, Workspace(other), column)


@router.get(
    "/dags/{dag_id}/runs/{run_id}/comparison.csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}, **refusals(404, 409, 500, 503)},
    operation_id="download_comparison",
)
def download_comparison(
    run: RunDep, session: SessionDep, with_run: WithRun = None, column: OfColumn = None
) -> StreamingResponse:
    """Return all rows that are new, gone or changed as CSV."""
    from fanfold.queries.comparison import write_differences

    plan, past = _sides(run, session, with_run)
    other = run.workspace.sibling(past.run_id)
    with heavy():
        file = write_differences(run.workspace, plan, other, column)
    return StreamingResponse(
        _chunks(file),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="comparison.csv"'},
    )


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _with_dataset(run: Run) -> Plan:
    """Return the plan of a run that has a dataset."""
    plan = run.plan()
    if plan is None or not run.workspace.table(plan.dataset).exists():
        raise Refusal(404, "no_dataset", "This run has no dataset.")
    return plan


def _runs(run: Run, session: Session, plan: Plan) -> list[Past]:
    """Return the runs that have a dataset, as the history orders them; the run itself, too."""
    sibling = run.workspace.sibling
    return [
        past
        for past in past_runs(session, run)
        if past.rows and sibling(past.run_id).table(plan.dataset).exists()
    ]


def _default(run: Run, plan: Plan, runs: list[Past]) -> str | None:
    """Return the run before this one: the last of like size, else the last."""
    run_id, date = run.dag_run.run_id, plan.logical_date
    found = run_before(like_size(runs, plan.items), run_id, date) or run_before(runs, run_id, date)
    return found.run_id if found else None


def _sides(run: Run, session: Session, with_run: str | None) -> tuple[Plan, Past]:
    """Return the plan of a run, and the other run."""
    plan = _with_dataset(run)
    runs = _runs(run, session, plan)
    wanted = _default(run, plan, runs) if with_run is None else with_run
    if wanted is None:
        raise Refusal(404, "no_comparison", "There is no earlier run with a dataset.")
    for past in runs:
        if past.run_id == wanted != run.dag_run.run_id:
            return plan, past
    raise Refusal(404, "no_other_run", f"{wanted[:100]!r} is no other run with a dataset.")
