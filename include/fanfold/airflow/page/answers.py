"""What the run page's API answers: typed, and described by its OpenAPI document.

Moments are ISO 8601 in UTC, durations are seconds, sizes are bytes, shares are from 0 to 1.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fanfold.model import RunStatus, Status


class Verdict(StrEnum):
    """What became of a run, or becomes of it, in one word."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PLANNED = "planned"
    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"
    FAILED = "failed"


class ItemStatus(StrEnum):
    """What became of an item, or that it has no outcome yet."""

    OK = Status.OK.value
    MISSING = Status.MISSING.value
    INVALID = Status.INVALID.value
    FAILED = Status.FAILED.value
    WAITING = "waiting"


class _Answer(BaseModel):
    # Made of our own values, by the names of their attributes.
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Problem(_Answer):
    """Why a request is refused."""

    code: str = Field(description="A word that the page turns into a sentence.")
    detail: str = Field(description="The same as an English sentence, with the way out.")


class Tally(_Answer):
    """Items by what became of them; ``planned`` is the sum of the others."""

    planned: int
    ok: int
    missing: int
    invalid: int
    failed: int
    waiting: int


class Rate(_Answer):
    """Items a second."""

    now: float | None = Field(description="Over the last seconds; null while nothing is fetched.")
    average: float | None = Field(description="From the plan until now, or until the dataset.")


class Quota(_Answer):
    """What the source gives in a window, as it said when the run was planned."""

    limit: int
    remaining: int
    reset_at: str


class Requests(_Answer):
    """Requests used, and what may be used."""

    used: int
    expected: int | None = Field(description="By the plan, if none fails.")
    per_second: float | None = Field(description="The budget of the connection, or of this run.")
    per_hour: float | None
    quota: Quota | None


class Timing(_Answer):
    """How long the run takes, in seconds."""

    elapsed: float | None = Field(description="From the plan until now, or until the dataset.")
    left: float | None = Field(description="Until all items are fetched; null where unknown.")
    basis: str | None = Field(description="What ``left`` rests on: `speed`, `quota` or `forecast`.")
    expected: float | None = Field(description="What the plan foretold for all of it.")


class Wait(_Answer):
    """Batches that wait for a quota, and gave their slots back."""

    batches: int
    until: str = Field(description="When the first of them goes on.")
    reason: str


class TaskState(_Answer):
    """One task of the run that is not mapped, or all instances of one that is."""

    task_id: str
    state: str | None = Field(description="Airflow's word; null before it is scheduled.")
    mapped: bool
    states: dict[str, int] = Field(description="Instances by state; `none` for null.")


class Redrivable(_Answer):
    """Whether what failed can be run again now, and by this person."""

    allowed: bool = Field(description="Whether this person may edit runs of the DAG.")
    possible: bool
    why_not: str | None = Field(
        description="`active` (the run is not finished), `no_plan`, or `nothing` (nothing failed)."
    )
    items: int = Field(description="Items that would be fetched again.")


class RunSummary(_Answer):
    """What the head of a run's page shows; asked for every two seconds while the run is active."""

    dag_id: str
    run_id: str
    verdict: Verdict
    state: str = Field(description="Airflow's state of the run.")
    status: RunStatus | None = Field(description="Of its dataset, where it has one.")
    final: bool = Field(description="Whether the numbers are the manifest's, and do not change.")
    logical_date: str | None
    started_at: str | None
    ended_at: str | None
    tally: Tally | None = Field(description="Null before the run is planned.")
    rate: Rate
    requests: Requests | None
    timing: Timing
    wait: Wait | None
    stopped: str | None = Field(description="Why fetching was given up: a refused token.")
    tasks: list[TaskState]
    redrive: Redrivable
    report: bool = Field(description="Whether there is a report.")
    dataset: bool = Field(description="Whether there is a dataset.")
    previous: str | None = Field(description="The run that it is compared with.")
    key_column: str | None = Field(
        description="The column of the dataset that holds the items' keys, where one does."
    )
    scheduler: bool = Field(description="Whether Airflow's scheduler is alive.")


class Attempted(_Answer):
    """One mapped task of a batch."""

    state: str | None
    started_at: str | None
    ended_at: str | None
    seconds: float | None
    tries: int


class Batch(_Answer):
    """One batch: two mapped tasks and its items."""

    batch: int = Field(description="Its number; the map index of its tasks.")
    label: str
    fetch: Attempted
    process: Attempted
    tally: Tally
    requests: int
    waits_until: str | None


class Batches(_Answer):
    """All batches of a run, in order, and the ids of the tasks that handle them."""

    fetch_task: str
    process_task: str
    batches: list[Batch]


class Decision(_Answer):
    """An outcome that an item had."""

    status: Status
    reason: str
    reason_id: str | None = Field(description="Id of the reason; null for a text without one.")
    attempts: int
    at: str
    column: str | None
    value: str | None
    rule: str | None


class Item(_Answer):
    """One item: what became of it, what came, and what was made of it."""

    key: str
    batch: int
    position: int = Field(description="Its place in the plan, from 0.")
    status: ItemStatus
    latest: Decision | None
    earlier: list[Decision] = Field(description="What was decided before, oldest first.")
    record: Any = Field(description="The raw record, as the source sent it; null without one.")
    row: dict[str, Any] | None = Field(description="The clean row, by column.")


class Suggestions(_Answer):
    """Keys of the plan that begin with what was typed."""

    keys: list[str]


class Example(_Answer):
    """An item of a group, with the value found, where there is one."""

    key: str
    value: str | None


class Group(_Answer):
    """Items with the same outcome for the same reason."""

    id: str
    status: Status
    reason: str = Field(description="Empty for all reasons that are not listed.")
    reason_id: str | None = Field(description="Id of the reason; null for a text without one.")
    column: str | None
    rule: str | None
    count: int
    attempts: int
    examples: list[Example]


class Failures(_Answer):
    """All items that are not in the dataset, by reason."""

    final: bool = Field(description="Whether single items can be listed: after `consolidate`.")
    groups: list[Group]


class FailedItem(Decision):
    """A line of ``failed.jsonl``."""

    key: str


class FailedItems(_Answer):
    """A page of ``failed.jsonl``."""

    items: list[FailedItem]
    next: int | None = Field(description="What to ask for as `after` next; null at the end.")


class Column(_Answer):
    """A column of the dataset."""

    name: str
    type: str
    nulls: int
    null_share: float


class Dataset(_Answer):
    """The first rows of the dataset."""

    rows: int = Field(description="How many there are.")
    offset: int
    columns: list[Column]
    page: list[list[Any]] = Field(description="Rows from `offset` on, a value a column.")


class File(_Answer):
    """A file of the dataset."""

    name: str
    format: str
    rows: int
    bytes: int
    sha256: str


class Files(_Answer):
    """The files of the dataset, and whether they can be downloaded."""

    published: bool = Field(description="Whether this dataset was sent to object storage.")
    prefix: str = Field(description="Where: `s3://bucket/prefix/`.")
    files: list[File]


class Change(_Answer):
    """A user whose followers changed."""

    user_id: str
    name: str
    before: int
    after: int


class Side(_Answer):
    """Users that only one of two runs has."""

    count: int
    examples: list[Example] = Field(description="Key: the user's id; value: the name.")


class Comparison(_Answer):
    """What differs from the run before."""

    previous: str = Field(description="The id of that run.")
    previous_date: str = Field(description="The date that it stands for.")
    both: int = Field(description="Users that both runs have.")
    new: Side
    gone: Side
    changed: int = Field(description="Users whose followers changed.")
    most_changed: list[Change] = Field(description="The largest changes first.")


class RedriveRequest(BaseModel):
    """What to run again. With neither list: everything that failed."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(
        default=True,
        # Airflow's audit log takes "false" for a dry run, and leaves it out.
        strict=True,
        description="Only say what it would cost; nothing is changed.",
    )
    keys: list[str] = Field(default=[], max_length=10_000, description="Only these items.")
    groups: list[str] = Field(
        default=[], max_length=500, description="Only items with these reasons, by group id."
    )


class Redrive(_Answer):
    """What is run again, or would be."""

    dry_run: bool
    items: int
    requests: int
    batches: int
    tasks: int = Field(description="Task instances that are cleared, those that follow included.")


class PipelineRun(_Answer):
    """One run in the list of a pipeline."""

    run_id: str
    verdict: Verdict
    state: str
    logical_date: str | None
    started_at: str | None
    ended_at: str | None
    seconds: float | None = Field(description="From Airflow's start to its end of the run.")
    rows: int | None = Field(description="Rows of the dataset, where it has one.")
    tally: Tally | None


class Pipeline(_Answer):
    """A pipeline and its last runs, newest first."""

    dag_id: str
    name: str
    paused: bool
    description: str | None
    runs: list[PipelineRun]


class Pipelines(_Answer):
    """All pipelines that this person may see."""

    pipelines: list[Pipeline]
    scheduler: bool
    workspace: bool = Field(description="Whether the shared directory can be read.")
