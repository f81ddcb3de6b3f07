"""Order lines from files, without the load into a database: the peers do not load the lines either."""

from __future__ import annotations

import os

from airflow.sdk import dag

import pipelines
from fanfold.airflow import policies, tasks
from fanfold.airflow.params import file_params

pipelines.__path__.append(os.environ["BENCH_PIPELINES"])
PIPELINE = "lineitem"


@dag(
    dag_id=PIPELINE,
    schedule=None,
    params=file_params([], noun="order file", column="item"),
    **policies.PIPELINE,
)
def lineitem() -> None:
    """Wire the tasks."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned)
    published = tasks.publish()
    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    batches >> tasks.consolidate(PIPELINE) >> published >> tasks.report(PIPELINE)


lineitem()
