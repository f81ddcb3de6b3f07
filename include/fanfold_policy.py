"""Pools: the fetch tasks of a pipeline may take that of their connection.

The scheduler does not start tasks of a pool that does not exist, and says so only in its own log: the run would
hang. A task cannot ask Airflow for its pools, so ``preflight`` cannot find it. This cluster policy does,
which Airflow finds by the entry point ``airflow.policy`` and calls where the scheduler makes task instances.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.policies import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

log = logging.getLogger(__name__)

DEFAULT = "default_pool"


@hookimpl
def task_instance_mutation_hook(task_instance: TaskInstance, dag_run: DagRun | None) -> None:
    """Let a fetch task take the default pool if its own does not exist."""
    pool = task_instance.pool
    if task_instance.operator != "Fetch" or pool in {None, DEFAULT}:
        return
    from airflow.models.pool import Pool
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    # The caller's session, without a flush: Airflow forbids a policy to open one or to commit.
    if dag_run is None or (session := object_session(dag_run)) is None:
        return
    with session.no_autoflush:
        found = session.scalar(select(Pool.id).where(Pool.pool == pool))
    if found is None:
        log.warning(
            "%s.%s takes %s: there is no pool %r. Create it in the UI (Admin, Pools) to limit the "
            "batches that are fetched concurrently.",
            *(task_instance.dag_id, task_instance.task_id, DEFAULT, pool),
        )
        task_instance.pool = DEFAULT
