"""The runs with which a run can be compared."""

from __future__ import annotations

from pydantic import Field

from fanfold.airflow.page.schemas.base import Schema


class OtherRun(Schema):
    """A run with which another can be compared."""

    run_id: str
    logical_date: str
    status: str = Field(description="Status of its dataset.")
    items: int
    rows: int


class OtherRuns(Schema):
    """The runs with which a run can be compared, the newest first."""

    runs: list[OtherRun]
    default: str | None = Field(
        description="The last one before it of like size, else the last one; null if there is none."
    )
