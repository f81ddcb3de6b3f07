"""The limits of a run, and what may be done about them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fanfold.airflow.page.schemas.base import ChangeRequest, Schema


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Integer = Annotated[int, Field(ge=1, le=256), BeforeValidator(_whole)]
"""JSON has one type of numbers: 4.0 is an integer."""


class Limits(Schema):
    """The limits that apply now: Params of the run, or what they were changed to since."""

    tolerated_failure_percentage: float | None
    tolerated_rejected_percentage: float | None
    concurrency: int | None = Field(description="Requests of a batch; null without requests.")
    requests_per_second: float | None = Field(
        description="Null: that of the connection, or unlimited."
    )
    changed_by: str | None = Field(description="Who changed one of them last.")
    changed_at: str | None


class LimitChanges(BaseModel):
    """New limits, in the ranges of the Params; what is left out or, but for the last one, null stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tolerated_failure_percentage: float | None = Field(default=None, ge=0, le=100)
    tolerated_rejected_percentage: float | None = Field(default=None, ge=0, le=100)
    concurrency: _Integer | None = None
    requests_per_second: float | None = Field(
        default=None,
        # Limits of fanfold.rate_limit.sliding_window.
        ge=1 / 3600,
        le=100_000,
        description="Null: that of the connection, or unlimited.",
    )


class Shares(Schema):
    """The shares that were compared with the tolerance; null before the run is consolidated."""

    failures: float | None = Field(description="Failed and invalid items, of all items.")
    rejected: float | None = Field(description="Rejected rows, of all rows of the run's items.")


class Fetching(Schema):
    """The requests of all batches that are fetched now."""

    in_flight: int = Field(description="Requests that are sent and have no response yet.")
    allowed: int = Field(description="Maximum of this number.")
    slowed_by: str | None = Field(
        description="What keeps it lower in most of the batches that are slowed: `429`, `503`, `latency`, "
        "`quota`, `rate` (requests per second), `unavailable` (no response)."
    )


class PublishRequest(ChangeRequest):
    """Whether to publish a run in spite of its failures, or only to say what that does."""


class Published(Schema):
    """What is accepted and run again."""

    dry_run: bool
    tasks: int = Field(description="Cleared task instances.")
    share: float = Field(
        description="The accepted share of failed and invalid items; of rejected rows, if only they exceed "
        "the tolerance."
    )
