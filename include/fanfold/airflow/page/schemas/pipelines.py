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


class Latest(Schema):
    """The run that ``latest.json`` refers to, as its task ``publish`` reported it to Airflow."""

    run_id: str | None
    published_at: str
    rows: int | None
    bytes: int | None = Field(description="Size of the published files.")


class Pipeline(Schema):
    """A pipeline and its recent runs, newest first."""

    dag_id: str
    name: str
    paused: bool
    description: str | None
    schedule: str | None = Field(description="Cron expression or the kind of timetable.")
    next_run: str | None = Field(description="When Airflow creates the next scheduled run.")
    can_trigger: bool = Field(description="Whether this user may trigger it now.")
    latest: Latest | None
    runs: list[PipelineRun]


class Pipelines(Schema):
    """The pipelines that this user may read: those with the newest runs first."""

    pipelines: list[Pipeline]
    scheduler: bool
    workspace: bool = Field(description="Whether the shared directory can be read.")
