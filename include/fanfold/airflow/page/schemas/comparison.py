"""Comparison of two runs."""

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


class ComparedRow(Schema):
    """A row in one of two runs."""

    key: list[str | None] = Field(description="Values of the key columns, shortened.")
    label: str | None = Field(description="Its name for people.")


class LoneRow(ComparedRow):
    """A row that only one of two runs has."""

    outcome: str | None = Field(
        description="The outcome of its item in the run that does not have it, or `unlisted`."
    )


class Change(ComparedRow):
    """A row that differs from the other run."""

    before: float | None = Field(description="The value of the column in the other run.")
    after: float | None
    columns: list[str] = Field(description="Columns with another value.")


class Side(Schema):
    """Rows that are only in one of two runs."""

    count: int
    outcomes: dict[str, int] = Field(
        description="Rows by the outcome of their item in the run that does not have them, or "
        "`unlisted`; empty if unknown."
    )
    examples: list[LoneRow]


class Histogram(Schema):
    """Rows by the relative change of the column."""

    edges: list[float] = Field(description="Shares between the bins; the outer bins are open.")
    counts: list[int] = Field(description="One more than edges; without rows with no change.")
    others: int = Field(description="Changed rows without a share: from or to null, or from 0.")


class Comparison(Schema):
    """Comparison with another run."""

    run_id: str = Field(description="Id of the other run.")
    logical_date: str = Field(description="Its logical date.")
    key: list[str] = Field(description="Columns by which rows are matched.")
    columns: list[str] = Field(description="Numeric columns.")
    column: str = Field(description="Column by which changes are ranked; empty if there is none.")
    new: Side
    gone: Side
    changed: int = Field(description="Rows in both runs that differ.")
    unchanged: int
    changes: list[Change] = Field(description="The largest difference of the column first.")
    histogram: Histogram | None
    repeated: bool = Field(
        description="Whether a key occurs more than once; rows of a key are matched by order then."
    )
    added: list[str] = Field(description="Columns that the other run does not have.")
    removed: list[str] = Field(description="Columns that only the other run has.")
    retyped: list[str] = Field(description="Columns with another type; they are not compared.")
