"""The head of a run's page."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from fanfold.airflow.page.schemas.base import Schema, Verdict
from fanfold.airflow.page.schemas.limits import Fetching, Limits, Shares
from fanfold.airflow.page.schemas.redrive import Failure, Redrivable, Redriven
from fanfold.model import RunStatus
from fanfold.queries.item_counts import ItemCounts


class Rate(Schema):
    """Items per second."""

    now: float | None = Field(description="Of the last seconds; null while nothing is fetched.")
    average: float | None = Field(description="From the plan until now, or until the dataset.")


class SourceQuota(Schema):
    """The quota of the source in its current window, as reported when the run was planned."""

    limit: int
    remaining: int
    reset_at: str


class Requests(Schema):
    """Requests made, and the limits on them."""

    used: int
    expected: int | None = Field(description="According to the plan, if none fails.")
    per_second: float | None = Field(description="Rate limit of the connection, or of this run.")
    per_hour: float | None
    quota: SourceQuota | None


class Seconds(Schema):
    """A range of seconds."""

    low: float
    high: float

    @classmethod
    def of(cls, found: tuple[float, float]) -> Self:
        """Return the range of a pair."""
        return cls(low=found[0], high=found[1])


class Timing(Schema):
    """Durations of the run, in seconds."""

    left: Seconds | None = Field(
        description="To the end of the run; null if unknown, or after its end."
    )
    basis: str | None = Field(description="Basis of ``left``: `speed`, `quota` or `forecast`.")
    expected: Seconds | None = Field(
        description="Forecast of the plan, from it to the end of the run, also of a dry run; else null after the end."
    )


class Wait(Schema):
    """Deferred batches that wait for a quota."""

    batches: int
    until: str = Field(description="When the first of them resumes.")
    reason: str


class Merge(Schema):
    """What a run in mode `merge` changes; null before it is consolidated, except for `run_rows`."""

    run_rows: int = Field(description="Rows of the run's own items.")
    superseded: int | None = Field(description="Rows that are not in the dataset, by a newer one.")
    deleted: int | None = Field(description="Keys that are not in it: their newest row is deleted.")
    pending: int | None = Field(
        description="Items of this and earlier runs that are failed or invalid."
    )


class DroppedColumn(Schema):
    """A column of files that the pipeline does not name."""

    name: str
    files: int = Field(description="Number of the run's files that have it.")


class TaskState(Schema):
    """An unmapped task of the run, or all instances of a mapped one."""

    task_id: str
    state: str | None = Field(description="Airflow's state; null before it is scheduled.")
    mapped: bool
    states: dict[str, int] = Field(description="Instances by state; `none` for null.")


class RunSummary(Schema):
    """The head of a run's page; polled every two seconds while the run is active."""

    dag_id: str
    run_id: str
    verdict: Verdict
    state: str = Field(description="Airflow's state of the run.")
    status: RunStatus | None = Field(description="Status of its dataset, if it has one.")
    final: bool = Field(description="Whether the numbers are those of the manifest.")
    logical_date: str | None
    started_at: str | None
    ended_at: str | None
    noun: str | None = Field(description="What an item is, in the singular.")
    places: list[str] = Field(description="Where the requests go: URLs, regions and buckets.")
    tally: ItemCounts | None = Field(description="Null before the run is planned.")
    rows: int | None = Field(description="Rows of the processed batches, or of the dataset.")
    rejected: int | None = Field(description="Rows that break the contract.")
    bytes: int | None = Field(description="Size of all items, if they are files.")
    batches: int | None = Field(description="Number of batches; null before the run is planned.")
    merge: Merge | None = Field(description="Null in mode `snapshot`.")
    dropped_columns: list[DroppedColumn] = Field(description="The 20 that are in most files.")
    more_dropped: int = Field(description="How many further columns were dropped.")
    rate: Rate
    requests: Requests | None
    gb_seconds: float | None = Field(
        description="Billed duration times memory of the calls of functions, if there are any."
    )
    timing: Timing
    wait: Wait | None
    stopped: str | None = Field(
        description="Why the fetch was stopped: a rejected token, or a function that does not exist."
    )
    latest: bool | None = Field(
        description="Whether `latest.json` moved to this run; null unless published."
    )
    items_from: str | None = Field(
        description="Where the list of items comes from: the DAG file, a Variable, a task or Params."
    )
    warnings: list[str] = Field(
        description="Rows that fell, and what `publish` and `load` did last left as it was, and why."
    )
    limits: Limits
    can_publish: bool = Field(
        description="Whether the run failed because its tolerance was exceeded, and this user may publish it."
    )
    shares: Shares
    fetching: Fetching | None = Field(description="Null while nothing is fetched from an API.")
    tasks: list[TaskState]
    redrive: Redrivable
    redrives: list[Redriven] = Field(description="Those from the page, oldest first.")
    failure: Failure | None = Field(description="Why the run failed; null unless it did.")
    report: bool = Field(description="Whether there is a report.")
    tables: list[str] = Field(description="Names of the dataset and its folds, if there are any.")
    key_column: str | None = Field(
        description="The column of the dataset that holds the items' keys, if one does."
    )
    scheduler: bool = Field(description="Whether Airflow's scheduler is alive.")
