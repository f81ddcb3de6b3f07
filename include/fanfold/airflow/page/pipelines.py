"""All pipelines: schedule, latest dataset, recent runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.types import DagRunType
from fastapi import APIRouter, Query
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fanfold.airflow.graph import PLAN, PUBLISH, TAG
from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import (
    MAY_SEE_SOME,
    may_see_runs,
    may_trigger,
    shared_directory,
    workspace_is_readable,
)
from fanfold.airflow.page.refusal import refusals
from fanfold.airflow.page.runs import (
    ENDED,
    begun,
    date_of,
    is_active,
    moment,
    scheduler_is_alive,
    tasks_of,
)
from fanfold.airflow.page.verdict import active, ended
from fanfold.model import Plan, RunStatus, utc_text
from fanfold.queries.item_counts import ItemCounts, counts_by_batch, total
from fanfold.workspace.files import read_as
from fanfold.workspace.history import Past, read_history
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

router = APIRouter(dependencies=MAY_SEE_SOME, tags=["pipelines"])


@router.get("/pipelines", responses=refusals(503), operation_id="get_pipelines")
def get_pipelines(
    session: SessionDep,
    user: GetUserDep,
    runs: Annotated[
        int, Query(ge=1, le=60, description="Maximum number of runs per pipeline.")
    ] = 20,
) -> schemas.Pipelines:
    """Return the pipelines whose runs this user may read, each with its recent runs."""
    allowed = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    found = [
        dag
        for dag in session.scalars(
            select(DagModel)
            .join(DagTag, DagTag.dag_id == DagModel.dag_id)
            .where(DagTag.name == TAG, DagModel.dag_id.in_(allowed), ~DagModel.is_stale)
        )
        if may_see_runs(user, dag.dag_id)
    ]
    found.sort(key=lambda dag: (dag.dag_display_name or dag.dag_id).lower())
    readable = workspace_is_readable()
    latest = _latest(session, [dag.dag_id for dag in found])
    pipelines = [
        schemas.Pipeline(
            dag_id=dag.dag_id,
            name=dag.dag_display_name or dag.dag_id,
            paused=bool(dag.is_paused),
            description=dag.description,
            # Airflow writes `None` for a DAG without a schedule.
            schedule=None if dag.timetable_summary == "None" else dag.timetable_summary,
            next_run=moment(dag.next_dagrun_create_after),
            can_trigger=_takes_manual_runs(dag) and may_trigger(user, dag.dag_id),
            latest=latest.get(dag.dag_id),
            runs=_Runs(session, dag.dag_id, runs, readable=readable).shown(),
        )
        for dag in found
    ]
    pipelines.sort(key=_newest, reverse=True)
    return schemas.Pipelines(
        pipelines=pipelines, scheduler=scheduler_is_alive(session), workspace=readable
    )


def _takes_manual_runs(dag: DagModel) -> bool:
    return not dag.allowed_run_types or DagRunType.MANUAL in dag.allowed_run_types


def _newest(pipeline: schemas.Pipeline) -> str:
    """Return when its newest run has started; a queued run is newer than any."""
    return max((run.started_at or "queued" for run in pipeline.runs), default="")


def _latest(session: Session, dag_ids: Sequence[str]) -> dict[str, schemas.Latest]:
    """Return what ``latest.json`` refers to, by DAG.

    ``publish`` emits an event of the Asset with the name of its DAG when it has moved ``latest.json``. So
    neither the workspace of the run has to exist, nor has the api-server to reach the bucket.
    """
    newest = (
        select(func.max(AssetEvent.id))
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(AssetEvent.source_dag_id.in_(dag_ids), AssetEvent.source_task_id == PUBLISH)
        .where(AssetModel.name == AssetEvent.source_dag_id)
        .group_by(AssetEvent.source_dag_id)
    )
    events = session.scalars(select(AssetEvent).where(AssetEvent.id.in_(newest)))
    return {
        str(event.source_dag_id): schemas.Latest(
            run_id=event.source_run_id,
            published_at=utc_text(event.timestamp),
            rows=event.extra.get("rows"),
            bytes=event.extra.get("bytes"),
        )
        for event in events
    }


class _Runs:
    """The recent runs of one pipeline.

    Unless the shared directory is ``readable``, only data of Airflow is shown.
    """

    def __init__(self, session: Session, dag_id: str, limit: int, *, readable: bool) -> None:
        self._session = session
        self._runs = session.scalars(
            select(DagRun)
            .where(DagRun.dag_id == dag_id)
            .order_by(func.coalesce(DagRun.logical_date, DagRun.run_after).desc(), DagRun.id.desc())
            .limit(limit)
        ).all()
        self._begun: frozenset[str] = frozenset()
        self._past: dict[str, Past] = {}
        if readable:
            history = Workspace.of_run(shared_directory(), dag_id, "-").history
            self._begun = begun(session, dag_id, [run.run_id for run in self._runs])
            # Entries of an earlier version have no counts.
            self._past = {
                past.run_id: past
                for past in read_history(history)
                if past.status and past.run_id in self._begun
            }
        self._skipped = self._with_plans_skipped(dag_id)

    def _with_plans_skipped(self, dag_id: str) -> frozenset[str]:
        ids = [run.run_id for run in self._runs]
        return frozenset(
            self._session.scalars(
                select(TaskInstance.run_id).where(
                    TaskInstance.dag_id == dag_id,
                    TaskInstance.run_id.in_(ids),
                    TaskInstance.task_id == PLAN,
                    TaskInstance.state == "skipped",
                )
            )
        )

    def shown(self) -> list[schemas.PipelineRun]:
        return [self._run(run) for run in self._runs]

    def _run(self, run: DagRun) -> schemas.PipelineRun:
        past = self._past.get(run.run_id)
        duration = None
        if run.start_date is not None and run.end_date is not None:
            duration = (run.end_date - run.start_date).total_seconds()
        return schemas.PipelineRun(
            run_id=run.run_id,
            verdict=self._verdict(run, past),
            state=str(run.state),
            logical_date=moment(date_of(run)),
            started_at=moment(run.start_date),
            ended_at=moment(run.end_date),
            seconds=duration,
            rows=self._rows(run, past),
            rejected=past.rejected if past and not is_active(run) else None,
            tally=self._counts(run, past),
        )

    def _verdict(self, run: DagRun, past: Past | None) -> schemas.Verdict:
        state = str(run.state)
        if state not in ENDED:
            return active(state, tasks_of(self._session, run))
        status = RunStatus(past.status) if past else None
        return ended(state, status, planned_only=run.run_id in self._skipped)

    @staticmethod
    def _rows(run: DagRun, past: Past | None) -> int | None:
        # An empty run has no dataset: the published one stays.
        has_dataset = past and past.status != RunStatus.EMPTY and not is_active(run)
        return past.rows if past and has_dataset else None

    def _counts(self, run: DagRun, past: Past | None) -> ItemCounts | None:
        if not is_active(run):
            return ItemCounts.of(past.counts) if past else None
        if run.run_id not in self._begun:
            return None
        workspace = Workspace.of_run(shared_directory(), run.dag_id, run.run_id)
        if not workspace.plan.exists():
            return None
        return total(counts_by_batch(workspace, read_as(workspace.plan, Plan.from_json)))
