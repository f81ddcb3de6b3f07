"""Typed columns from records, for the transforms of the sources.

A value that cannot be read, such as a word in a count, becomes a :class:`Problem` with row, column,
value and rule; only that row is invalid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

_INT64_MAX = 2**63 - 1
_VALUE_LIMIT = 200
_UNREADABLE = (ValueError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Problem:
    """A value that breaks a rule. ``row`` is the position of its record."""

    row: int
    column: str
    value: str
    rule: str


@dataclass(slots=True)
class Rows:
    """Builds the columns of a frame: one row per record, in order.

    Attributes:
        records: The records.
        frame: The columns so far; the index is 0 to len(records) - 1.
        problems: Values that could not be read.
    """

    records: Sequence[dict[str, Any]]
    frame: pd.DataFrame = field(init=False)
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frame = pd.DataFrame(index=pd.RangeIndex(len(self.records)))

    def constant(self, column: str, value: str) -> None:
        """Add a text column with a constant value."""
        self.frame[column] = pd.Series(value, index=self.frame.index, dtype="str")

    def text(self, column: str, name: str, *, clean: Callable[[str], str] | None = None) -> None:
        """Add a text column from a field: trimmed, with empty text as null."""
        self._column(column, name, "str", lambda value: _as_text(value, clean), "is text")

    def count(self, column: str, name: str) -> None:
        """Add an Int64 column from a field with an integer or its digits."""
        self._column(column, name, "Int64", _as_count, "is a whole number of 64 bits")

    def label(
        self, column: str, name: str, labels: Mapping[int, str], *, other: str | None = None
    ) -> None:
        """Add a text column from a field with a code; unknown codes become ``other``."""
        self._column(
            column, name, "str", lambda value: labels.get(_as_count(value), other), "is a code"
        )

    def flag(self, column: str, name: str) -> None:
        """Add a boolean column from a field; null becomes false."""
        self._column(column, name, "boolean", _as_flag, "is true or false")
        self.frame[column] = self.frame[column].fillna(value=False).astype(bool)

    def moment(self, column: str, name: str, parse: Callable[[str], datetime]) -> None:
        """Add a UTC timestamp column; ``parse`` raises ``ValueError`` for an invalid date."""
        self._column(
            column, name, "datetime64[us, UTC]", lambda value: _as_moment(value, parse), "is a date"
        )

    def _column(
        self, column: str, name: str, dtype: str, read: Callable[[Any], Any], rule: str
    ) -> None:
        raws = _fields(self.records, name)
        try:
            values = [None if raw is None else read(raw) for raw in raws]
        except _UNREADABLE:
            values = [self._read(row, column, raw, read, rule) for row, raw in enumerate(raws)]
        self.frame[column] = pd.Series(values, index=self.frame.index, dtype=dtype)

    def _read(
        self, row: int, column: str, raw: Any, read: Callable[[Any], Any], rule: str
    ) -> Any | None:
        try:
            return None if raw is None else read(raw)
        except _UNREADABLE:
            self.problems.append(Problem(row, column, shown(raw), rule))
            return None


def shown(value: Any) -> str:
    """Return a value as text for a message, truncated."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _VALUE_LIMIT else f"{text[:_VALUE_LIMIT]}…"


def _fields(records: Sequence[dict[str, Any]], name: str) -> list[Any]:
    """Return of each record the field ``a`` or, for ``a.b``, the field of an object within."""
    values: list[Any] = list(records)
    for part in name.split("."):
        values = [value.get(part) if isinstance(value, dict) else None for value in values]
    return values


# These three run for every field of every record: what nearly all values are comes first.


def _as_text(value: Any, clean: Callable[[str], str] | None) -> str | None:
    if isinstance(value, (bool, dict, list, float)):
        raise TypeError
    text = value if isinstance(value, str) else str(value)
    if not text.isascii():
        # A lone surrogate (JSON allows \ud800) has no UTF-8.
        text = text.encode("utf-8", "replace").decode()
    if "\0" in text:  # which has no place in SQL text
        text = text.replace("\0", "")
    return (clean(text) if clean else text).strip() or None


def _as_count(value: Any) -> int:
    if type(value) is int and -_INT64_MAX <= value <= _INT64_MAX:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, str, float)):
        raise TypeError
    if isinstance(value, str) and len(value) > 20:
        raise ValueError
    number = int(value)
    if number != (float(value) if isinstance(value, float) else number):
        raise ValueError
    if abs(number) > _INT64_MAX:
        raise OverflowError
    return number


def _as_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    raise TypeError


def _as_moment(value: Any, parse: Callable[[str], datetime]) -> datetime | None:
    if not isinstance(value, str) or len(value) > 64:
        raise TypeError
    return parse(value) if value.strip() else None
