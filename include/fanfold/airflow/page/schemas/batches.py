"""Batches."""

from __future__ import annotations

from pydantic import Field

from fanfold.airflow.page.schemas.base import Moment, Schema
from fanfold.queries.item_counts import ItemCounts


class BatchTask(Schema):
    """One mapped task of a batch."""

    state: str | None
    started_at: Moment
    ended_at: Moment
    seconds: float | None
    tries: int


class Batch(Schema):
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


class Batches(Schema):
    """All batches of a run, in order, and the ids of their tasks."""

    fetch_task: str
    process_task: str
    batches: list[Batch]
