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
