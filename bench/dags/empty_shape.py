"""A DAG of the shape of a pipeline whose tasks do nothing: the cost of Airflow alone."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TriggerRule, dag, task, task_group


@task
def nothing() -> None:
    """Do nothing."""


@task(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
def nothing_after_all() -> None:
    """Do nothing, in whatever state upstream tasks ended."""


@task
def twenty() -> list[dict[str, int]]:
    """Return twenty references to batches."""
    return [{"batch": number} for number in range(20)]


@task
def nothing_of(ref: dict[str, int]) -> None:
    """Do nothing with a batch."""


@task_group
def batch(ref: dict[str, int]) -> None:
    """Do nothing twice."""
    fetched = nothing_of.override(task_id="fetch")(ref)
    fetched >> nothing_of.override(task_id="process", trigger_rule=TriggerRule.ALL_DONE)(ref)


@dag(schedule=None)
def empty_shape() -> None:
    """Wire the tasks as a pipeline does."""
    planned = twenty.override(task_id="plan")()
    batches: Any = batch.expand(ref=planned)
    folded = nothing_after_all.override(task_id="consolidate")()
    published = nothing.override(task_id="publish")()
    (nothing.override(task_id="preflight")() >> nothing.override(task_id="read_items")() >> planned)
    [planned, *batches.children.values()] >> folded
    folded >> published >> nothing.override(task_id="load")()
    published >> nothing.override(task_id="report")()


empty_shape()
