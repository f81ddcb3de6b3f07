"""Two DAGs with the tasks of a pipeline, which do nothing: their runs are written by the tests."""

from __future__ import annotations

from airflow.sdk import dag, task, task_group

from fanfold.airflow.graph import TAG
from fanfold.airflow.params import item_params


def wired(dag_id: str) -> None:
    """Define a DAG with the task ids and the wiring of all pipelines."""

    @task
    def nothing(ref: int | None = None) -> None: ...

    @task
    def plan() -> list[int]: ...

    @task_group
    def batch(ref: int) -> None:
        nothing.override(task_id="fetch")(ref) >> nothing.override(task_id="process")(ref)

    @dag(dag_id=dag_id, schedule=None, tags=[TAG], params=item_params())
    def pipeline() -> None:
        planned = plan()
        first = nothing.override(task_id="preflight")() >> nothing.override(task_id="read_items")()
        first >> planned
        folded = nothing.override(task_id="consolidate")()
        published = nothing.override(task_id="publish")()
        batch.expand(ref=planned) >> folded >> published >> nothing.override(task_id="load")()
        published >> nothing.override(task_id="report")()

    pipeline()


wired("order_lines")
wired("other_pipeline")
