"""Columns of a dataset or fold."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fanfold.airflow.page.schemas.base import Schema


class Frequency(Schema):
    """A value and the number of its rows."""

    value: Any
    count: int


class Distribution(Schema):
    """Rows by value; bin `n` is from edge `n` to edge `n + 1`."""

    edges: list[float | str] = Field(description="Numbers or times.")
    counts: list[int]


class ColumnProfile(Schema):
    """A column and its values."""

    name: str
    type: str
    nulls: int | None
    null_share: float | None
    distinct: int | None = Field(description="Different values; null for a nested column.")
    estimated: bool = Field(description="Whether `distinct` is an estimate.")
    smallest: Any
    largest: Any
    mean: float | None
    median: float | None
    distribution: Distribution | None
    frequent: list[Frequency] = Field(description="The most frequent values.")


class Columns(Schema):
    """The columns of the dataset or of a fold."""

    table: str
    columns: list[ColumnProfile]
