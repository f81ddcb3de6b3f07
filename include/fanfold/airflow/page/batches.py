"""The batches of a run, each with its two mapped tasks."""

from __future__ import annotations

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter

from fanfold.airflow.graph import FETCH, PROCESS
from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import MAY_SEE, RunDep
from fanfold.airflow.page.refusal import refusals
from fanfold.airflow.page.runs import Instance, batch_instances, is_active
from fanfold.model import BatchRef
from fanfold.queries.item_counts import counts_by_batch
from fanfold.stages.planning import batch_refs

router = APIRouter(dependencies=MAY_SEE, tags=["run"])


@router.get(
    "/dags/{dag_id}/runs/{run_id}/batches",
    responses=refusals(404, 500, 503),
    operation_id="get_batches",
)
def get_batches(run: RunDep, session: SessionDep) -> schemas.Batches:
    """Return all batches, in order."""
    plan = run.planned()
    workspace = run.workspace
    instances = batch_instances(session, run.dag_run)
    active = is_active(run.dag_run)

    def task(ref: BatchRef, name: str) -> schemas.BatchTask:
        found = instances.get(ref.batch, {}).get(name, Instance("", -1, None))
        return schemas.BatchTask.model_validate(found)

    return schemas.Batches(
        fetch_task=FETCH,
        process_task=PROCESS,
        batches=[
            schemas.Batch(
                batch=ref.batch,
                label=ref.label,
                fetch=task(ref, FETCH),
                process=task(ref, PROCESS),
                tally=found.items,
                rows=found.rows,
                rejected=found.rejected,
                requests=found.requests,
                waits_until=found.waits_until if active else None,
            )
            for ref, found in zip(
                batch_refs(workspace, plan), counts_by_batch(workspace, plan), strict=True
            )
        ],
    )
