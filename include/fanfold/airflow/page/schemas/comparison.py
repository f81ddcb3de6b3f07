"""Comparison of two runs."""

from __future__ import annotations

from pydantic import Field

from fanfold.airflow.page.schemas.base import Schema


class ComparedRow(Schema):
    """A row in one of two runs."""

    key: list[str | None] = Field(description="Values of the key columns, shortened.")
    label: str | None = Field(description="Its name for people.")


class Change(ComparedRow):
    """A row that differs from the previous run."""

    before: float | None = Field(description="The measure in the previous run.")
    after: float | None
    columns: list[str] = Field(description="Columns with another value.")


class Side(Schema):
    """Rows that are only in one of two runs."""

    count: int
    examples: list[ComparedRow]


class Comparison(Schema):
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
