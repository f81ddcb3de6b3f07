"""One item."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fanfold.airflow.page.schemas.base import Schema
from fanfold.model import Status


class ItemOutcome(Schema):
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


class RejectedRow(Schema):
    """A line of ``rejected.jsonl``."""

    item: str
    row: int = Field(description="Position among the rows of the item, from 1.")
    column: str = Field(description="Empty for an exception of the transform.")
    value: str
    rule: str


class _Some(Schema):
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


class ItemFile(Schema):
    """The file that an item is: as downloaded last, or else as listed."""

    size: int | None
    etag: str | None
    modified: str | None


class Item(Schema):
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


class Suggestion(Schema):
    """An item that fits what was typed."""

    key: str
    label: str | None = Field(description="The name of its row, if rows have one.")
    status: Status | Literal["waiting"]


class Suggestions(Schema):
    """Items of the plan that fit what was typed."""

    suggestions: list[Suggestion]


class ItemInRun(Schema):
    """An item in one run."""

    run_id: str
    logical_date: str
    status: Status | Literal["waiting"] | None = Field(
        description="Null if the run's list does not have it."
    )
    rows: int
    measure: Any = Field(description="Value of the measure, if the item has one row.")


class ItemHistory(Schema):
    """An item in the runs of its DAG."""

    measure: str = Field(description="A column; empty if the pipeline has none.")
    runs: list[ItemInRun]
