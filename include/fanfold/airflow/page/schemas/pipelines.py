"""All pipelines."""

from __future__ import annotations

from pydantic import Field

from fanfold.airflow.page.schemas.base import Schema, Verdict
from fanfold.queries.item_counts import ItemCounts


class PipelineRun(Schema):
    """One run in the list of a pipeline."""

    run_id: str
    verdict: Verdict
    state: str
    logical_date: str | None
    started_at: str | None
    ended_at: str | None
    seconds: float | None = Field(description="From start to end of the run in Airflow.")
    rows: int | None = Field(description="Rows of the dataset, if it has one.")
    rejected: int | None = Field(description="Rows that break the contract.")
    tally: ItemCounts | None


class Pipeline(Schema):
    """A pipeline and its recent runs, newest first."""

    dag_id: str
    name: str
    paused: bool
    description: str | None
    runs: list[PipelineRun]


class Pipelines(Schema):
    """The pipelines that this user may read."""

    pipelines: list[Pipeline]
    scheduler: bool
    workspace: bool = Field(description="Whether the shared directory can be read.")
