"""The tasks of a batch: fetch, process."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule, get_current_context, task, task_group

from fanfold.airflow import consolidation, metrics, settings
from fanfold.airflow.fetch import Fetch
from fanfold.airflow.tasks import docs
from fanfold.model import BatchRef

if TYPE_CHECKING:
    from airflow.sdk import XComArg
    from airflow.sdk.definitions._internal.mixins import DependencyMixin

log = logging.getLogger(__name__)


@task(
    multiple_outputs=False,
    doc_md=docs.PROCESS,
    # Also after a failed fetch: its fetched items belong to the dataset.
    trigger_rule=TriggerRule.ALL_DONE,
    map_index_template="{{ task.op_kwargs['ref']['label'] }}",
)
@metrics.timed
def process(pipeline: str, ref: dict[str, Any]) -> None:
    """Turn the records of a batch into rows; list rows that break the contract."""
    from fanfold.loader import load_pipeline

    batch = BatchRef.from_json(ref)
    if not batch.items:
        return
    workspace = settings.workspace_of(get_current_context())
    closed = consolidation.close(load_pipeline(pipeline), workspace.batch(batch.batch))
    log.info("%d rows, %d rejected.", closed.rows, closed.rejected)


@task_group
def batch(pipeline: str, ref: dict[str, Any], pool: str = "default_pool") -> None:
    """Fetch and process the items of one batch."""
    fetched = Fetch(
        pool=pool,
        task_id="fetch",
        pipeline=pipeline,
        batch=ref,
        doc_md=docs.FETCH,
        map_index_template="{{ task.batch['label'] }}",
        # A batch may wait for its rate limit for hours.
        execution_timeout=timedelta(hours=6),
    )
    fetched >> process(pipeline=pipeline, ref=ref)


def batches(
    pipeline: str, planned: XComArg, *, pool: str = "default_pool"
) -> list[DependencyMixin]:
    """Fan out over the batches of a plan; return what ``consolidate`` comes after.

    That is each task of a batch and the plan: whichever of them is cleared, alone or with others,
    ``consolidate`` waits for it.

    Args:
        pipeline: Name of the pipeline.
        planned: The task ``plan``.
        pool: The pool of Airflow that the fetch tasks take: that of their connection.
    """
    mapped: Any = batch.partial(pipeline=pipeline, pool=pool).expand(ref=planned)
    return [planned, *mapped.children.values()]
