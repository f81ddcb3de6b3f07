"""The result of a comparison of two runs; apart from the queries, because the api-server loads DuckDB late."""

from __future__ import annotations

from dataclasses import dataclass

Key = tuple[str | None, ...]
"""Values of a row's key columns, as text, shortened."""


@dataclass(frozen=True, slots=True)
class LoneRow:
    """A row that only one of the two datasets has.

    Attributes:
        key: Its key.
        label: Its name for people; None if the pipeline has no ``label`` or it is null.
        outcome: The outcome of its item in the other run: a status, or ``unlisted`` if that run's list
            does not have it; None if rows do not tell their item, or in mode ``merge``.
    """

    key: Key
    label: str | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """The rows that only one dataset has.

    Attributes:
        count: Number of rows.
        outcomes: Number of them by the outcome of their item in the other run; empty if unknown.
        examples: Some of them: the largest value of the column first, then by key.
    """

    count: int
    outcomes: dict[str, int]
    examples: tuple[LoneRow, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A row that both datasets have, with different values.

    Attributes:
        key: Its key.
        label: Its current name for people, as in :class:`LoneRow`.
        before, after: Its value of the column; None if it is null or not finite, or there is no column.
        columns: Columns with different values, in the order of the dataset.
    """

    key: Key
    label: str | None
    before: float | None
    after: float | None
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How a column changed, relative to the value before.

    Attributes:
        edges: Shares between the bins, ascending; the first and the last bin are open.
        counts: Rows of each bin, one more than edges; rows whose value is the same are in none.
        others: Rows whose value changed, but has no share: from or to null, or from 0.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    others: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a dataset differs from that of another run.

    Attributes:
        key: Columns by which rows were matched.
        columns: Numeric columns that can be compared.
        column: The one by which changes are ranked; empty if there is none.
        new: Rows only in this dataset.
        gone: Rows only in that of the other run.
        changed: Number of rows in both with different values.
        unchanged: Number of rows in both with equal values.
        changes: Some changed rows: the largest difference of the column first, then by key.
        histogram: The changes of the column; None without a column.
        repeated: Whether a key occurs more than once in a dataset: such rows were matched by key and
            by their order among the rows with this key.
        added: Columns that only this dataset has.
        removed: Columns that only the other one has.
        retyped: Columns that have another type now. They were not compared, as the added and removed
            ones.
    """

    key: tuple[str, ...]
    columns: tuple[str, ...]
    column: str
    new: Side
    gone: Side
    changed: int
    unchanged: int
    changes: tuple[Change, ...]
    histogram: Histogram | None
    repeated: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
