"""Requests and responses of the run page's API.

Times are ISO 8601 in UTC, durations are in seconds, sizes in bytes, shares from 0 to 1.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fanfold.model import RunStatus, Status, utc_text
from fanfold.queries.item_counts import ItemCounts


class Verdict(StrEnum):
    """The state of a run and the status of its dataset, in one word."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PLANNED = "planned"
    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"
    FAILED = "failed"


class _Schema(BaseModel):
    # Built from dataclasses, by the names of their attributes.
    model_config = ConfigDict(frozen=True, from_attributes=True)


def _text(value: datetime | str | None) -> str | None:
    return utc_text(value) if isinstance(value, datetime) else value


Moment = Annotated[str | None, BeforeValidator(_text)]
"""A time as ISO 8601 in UTC, also from a datetime."""


class ApiError(_Schema):
    """Why a request is rejected."""

    code: str = Field(description="The page has a translated text for each code.")
    detail: str = Field(description="An English sentence with the remedy.")


class Rate(_Schema):
    """Items per second."""

    now: float | None = Field(description="Of the last seconds; null while nothing is fetched.")
    average: float | None = Field(description="From the plan until now, or until the dataset.")


class SourceQuota(_Schema):
    """The quota of the source in its current window, as reported when the run was planned."""

    limit: int
    remaining: int
    reset_at: str


class Requests(_Schema):
    """Requests made, and the limits on them."""

    used: int
    expected: int | None = Field(description="According to the plan, if none fails.")
    per_second: float | None = Field(description="Rate limit of the connection, or of this run.")
    per_hour: float | None
    quota: SourceQuota | None


class Timing(_Schema):
    """Durations of the run, in seconds."""

    elapsed: float | None = Field(description="From the plan until now, or until the dataset.")
    left: float | None = Field(description="Until all items are fetched; null if unknown.")
    basis: str | None = Field(description="Basis of ``left``: `speed`, `quota` or `forecast`.")
    expected: float | None = Field(description="Forecast of the plan for the whole run.")


class Wait(_Schema):
    """Deferred batches that wait for a quota."""

    batches: int
    until: str = Field(description="When the first of them resumes.")
    reason: str


class Merge(_Schema):
    """What a run in mode `merge` changes; null before it is consolidated, except for `run_rows`."""

    run_rows: int = Field(description="Rows of the run's own items.")
    superseded: int | None = Field(description="Rows that are not in the dataset, by a newer one.")
    deleted: int | None = Field(description="Keys that are not in it: their newest row is deleted.")
    pending: int | None = Field(
        description="Items of this and earlier runs that are failed or invalid."
    )


class DroppedColumn(_Schema):
    """A column of files that the pipeline does not name."""

    name: str
    files: int = Field(description="Number of the run's files that have it.")


class TaskState(_Schema):
    """An unmapped task of the run, or all instances of a mapped one."""

    task_id: str
    state: str | None = Field(description="Airflow's state; null before it is scheduled.")
    mapped: bool
    states: dict[str, int] = Field(description="Instances by state; `none` for null.")


class Redrivable(_Schema):
    """Whether a redrive is possible now, and allowed for this user."""

    allowed: bool = Field(description="Whether this user may edit runs of the DAG.")
    possible: bool
    why_not: str | None = Field(
        description="`active` (the run is not finished), `no_plan`, or `nothing` (nothing failed)."
    )
    items: int = Field(description="Items that a redrive fetches again.")


class RunSummary(_Schema):
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
    warnings: list[str] = Field(
        description="What `publish` and `load` did last left as it was, and why."
    )
    tasks: list[TaskState]
    redrive: Redrivable
    report: bool = Field(description="Whether there is a report.")
    tables: list[str] = Field(description="Names of the dataset and its folds, if there are any.")
    previous: str | None = Field(description="The run of the comparison.")
    key_column: str | None = Field(
        description="The column of the dataset that holds the items' keys, if one does."
    )
    scheduler: bool = Field(description="Whether Airflow's scheduler is alive.")


class BatchTask(_Schema):
    """One mapped task of a batch."""

    state: str | None
    started_at: Moment
    ended_at: Moment
    seconds: float | None
    tries: int


class Batch(_Schema):
    """One batch: two mapped tasks and its items."""

    batch: int = Field(description="Number of the batch; the map index of its tasks.")
    label: str
    fetch: BatchTask
    process: BatchTask
    tally: ItemCounts
    rows: int | None = Field(description="Null before the batch is processed.")
    rejected: int | None
    requests: int
    waits_until: str | None


class Batches(_Schema):
    """All batches of a run, in order, and the ids of their tasks."""

    fetch_task: str
    process_task: str
    batches: list[Batch]


class ItemOutcome(_Schema):
    """A current or earlier outcome of an item."""

    status: Status
    reason: str
    reason_id: str | None = Field(description="Id of the reason; null for a text without one.")
    attempts: int
    gb_seconds: float | None = Field(description="Cost of the calls of functions.")
    at: str
    column: str | None
    value: str | None
    rule: str | None


class RejectedRow(_Schema):
    """A line of ``rejected.jsonl``."""

    item: str
    row: int = Field(description="Position among the rows of the item, from 1.")
    column: str = Field(description="Empty for an exception of the transform.")
    value: str
    rule: str


class _Some(_Schema):
    count: int


class SomeRecords(_Some):
    """The number of an item's records, and the first ones."""

    first: list[Any]


class SomeRows(_Some):
    """The number of an item's rows, and the first ones by column."""

    first: list[dict[str, Any]]


class SomeRejected(_Some):
    """The number of an item's rejected rows, and the first ones."""

    first: list[RejectedRow]


class ItemFile(_Schema):
    """The file that an item is: as downloaded last, or else as listed."""

    size: int | None
    etag: str | None
    modified: str | None


class Item(_Schema):
    """One item: its outcomes, records, rows and rejected rows."""

    key: str
    batch: int
    position: int = Field(description="Position in the plan, from 0.")
    status: Status | Literal["waiting"]
    latest: ItemOutcome | None
    earlier: list[ItemOutcome] = Field(description="Earlier outcomes, oldest first.")
    file: ItemFile | None = Field(description="Null if the item is no file.")
    records: SomeRecords = Field(description="What the source returned; empty for a file.")
    rows: SomeRows
    rejected: SomeRejected


class Suggestions(_Schema):
    """Keys of the plan that begin with the typed text, or, of files, that contain it."""

    keys: list[str]


class Example(_Schema):
    """An item of a group, with the invalid value, if there is one."""

    key: str
    value: str | None

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, pair: tuple[str, str | None]) -> dict[str, str | None]:
        return dict(zip(("key", "value"), pair, strict=True))


class RejectedGroup(_Schema):
    """Rejected rows with a value in the same column that breaks the same rule."""

    id: str
    column: str | None = Field(
        description="Empty for an exception; null for the group of all further reasons."
    )
    rule: str | None
    count: int
    examples: list[Example]


class FailureGroup(RejectedGroup):
    """Items with the same outcome for the same reason."""

    status: Status
    reason: str = Field(description="Empty for the group of all further reasons.")
    reason_id: str | None = Field(description="Id of the reason; null for a text without one.")
    attempts: int


class Failures(_Schema):
    """The items that are not ``ok`` and the rejected rows, by reason."""

    final: bool = Field(
        description="Whether individual items and rows can be listed: after `consolidate`."
    )
    groups: list[FailureGroup]
    rejected: list[RejectedGroup]


class FailedItem(ItemOutcome):
    """A line of ``failed.jsonl``."""

    key: str


class FailedItems(_Schema):
    """A page of ``failed.jsonl``."""

    items: list[FailedItem]
    next: int | None = Field(description="`after` of the next page; null at the end.")


class RejectedRows(_Schema):
    """A page of ``rejected.jsonl``."""

    rows: list[RejectedRow]
    next: int | None = Field(description="`after` of the next page; null at the end.")


class File(_Schema):
    """A file of the manifest."""

    name: str = Field(validation_alias="key")
    table: str = Field(description="The dataset or fold in it; empty for a list of failures.")
    format: str
    rows: int
    bytes: int
    sha256: str


class Files(_Schema):
    """The files of the manifest, and whether they can be downloaded."""

    published: bool = Field(description="Whether they were published.")
    prefix: str = Field(description="`s3://bucket/prefix/`.")
    files: list[File]


class ComparedRow(_Schema):
    """A row in one of two runs."""

    key: list[str | None] = Field(description="Values of the key columns, shortened.")
    label: str | None = Field(description="Its name for people.")


class Change(ComparedRow):
    """A row that differs from the previous run."""

    before: float | None = Field(description="The measure in the previous run.")
    after: float | None
    columns: list[str] = Field(description="Columns with another value.")


class Side(_Schema):
    """Rows that are only in one of two runs."""

    count: int
    examples: list[ComparedRow]


class Comparison(_Schema):
    """Comparison with the previous run."""

    previous: str = Field(description="Id of the previous run.")
    previous_date: str = Field(description="Its logical date.")
    key: list[str] = Field(description="Columns by which rows are matched.")
    measure: str = Field(description="Column by which changes are ranked; empty if there is none.")
    new: Side
    gone: Side
    changed: int = Field(description="Rows in both runs that differ.")
    unchanged: int
    changes: list[Change] = Field(description="The largest difference of the measure first.")
    repeated: bool = Field(
        description="Whether a key occurs more than once; rows of a key are matched by order then."
    )
    added: list[str] = Field(description="Columns that the previous run does not have.")
    removed: list[str] = Field(description="Columns that only the previous run has.")
    retyped: list[str] = Field(description="Columns with another type; they are not compared.")


class RedriveRequest(BaseModel):
    """What to fetch again; without both lists: everything that failed."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(
        default=True,
        # Airflow's audit log takes "false" for a dry run and omits it.
        strict=True,
        description="Only return the cost; change nothing.",
    )
    keys: list[str] = Field(default=[], max_length=10_000, description="Only these items.")
    groups: list[str] = Field(
        default=[], max_length=500, description="Only items with these reasons, by group id."
    )


class Redrive(_Schema):
    """The cost of a redrive."""

    dry_run: bool
    items: int
    requests: int
    batches: int
    tasks: int = Field(description="Cleared task instances, downstream tasks included.")


class PipelineRun(_Schema):
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


class Pipeline(_Schema):
    """A pipeline and its recent runs, newest first."""

    dag_id: str
    name: str
    paused: bool
    description: str | None
    runs: list[PipelineRun]


class Pipelines(_Schema):
    """The pipelines that this user may read."""

    pipelines: list[Pipeline]
    scheduler: bool
    workspace: bool = Field(description="Whether the shared directory can be read.")
