"""What all schemas share."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fanfold.model import utc_text


class Verdict(StrEnum):
    """The state of a run and the status of its dataset, in one word."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    APPROVAL = "approval"
    PLANNED = "planned"
    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"
    FAILED = "failed"


class Schema(BaseModel):
    """A response; nothing may change it."""

    # Built from dataclasses, by the names of their attributes.
    model_config = ConfigDict(frozen=True, from_attributes=True)


def _text(value: datetime | str | None) -> str | None:
    return utc_text(value) if isinstance(value, datetime) else value


Moment = Annotated[str | None, BeforeValidator(_text)]
"""A time as ISO 8601 in UTC, also from a datetime."""


class ApiError(Schema):
    """Why a request is rejected."""

    code: str = Field(description="The page has a translated text for each code.")
    detail: str = Field(description="An English sentence with the remedy.")


class ChangeRequest(BaseModel):
    """The body of a request that clears tasks, or only says what that would do."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(
        default=True,
        # Airflow's audit log takes "false" for a dry run and omits it.
        strict=True,
        description="Only return what would be done; change nothing.",
    )
