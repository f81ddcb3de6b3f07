"""Rows of a chart's query, as values for JSON and as words for its finding."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadPipeline
from fanfold.stages.reporting.sanitising import isolated, plain
from fanfold.stages.reporting.wording import Text, both, full, number, percent, same, short
from fanfold.workspace.sql import query_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

MAX_ROWS = 5000
"""Rows of a chart; further ones are cut off, and the page says so."""
_TEXT_WIDTH = 120
"""Maximum width of a text in a chart or its table, in columns."""
_NAMED = re.compile(r"\{([^{}]*)\}")
_EXACT = 2**53
"""Largest integer up to which a JavaScript number is exact."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The result of a query: at most :data:`MAX_ROWS` rows, and whether more were cut off."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    cut: bool

    @property
    def first(self) -> dict[str, Any]:
        """The first row by column; all values are None if there is none."""
        row = self.rows[0] if self.rows else (None,) * len(self.columns)
        return dict(zip(self.columns, row, strict=True))

    @property
    def kinds(self) -> list[str]:
        """The kind of each column, by its first value: ``number``, ``date``, ``time``, ``text``."""
        return [
            next((_kind(row[place]) for row in self.rows if row[place] is not None), "text")
            for place in range(len(self.columns))
        ]


def query(connection: DuckDBPyConnection, sql: str, what: str) -> Rows:
    """Run a query; ``what`` names it in errors.

    Raises:
        BadPipeline: The query is wrong.
    """
    with query_errors(what):
        cursor = connection.execute(sql)
        rows = cursor.fetchmany(MAX_ROWS + 1)
        columns = tuple(column[0] for column in cursor.description or ())
    return Rows(columns, rows[:MAX_ROWS], len(rows) > MAX_ROWS)


def json_value(value: Any) -> Any:  # noqa: PLR0911 - a case a type
    """Return a value of DuckDB for JSON.

    Numbers that a JavaScript number cannot hold become strings; NaN and infinity None. Times are in
    UTC, without an offset: the browser shows them as they are, whatever its time zone.
    """
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) <= _EXACT else str(value)
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return _decimal(value)
        case datetime():
            moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
        case date():
            return value.isoformat()
        case list() | tuple():
            return [json_value(each) for each in value]
        case dict():
            return {str(name): json_value(each) for name, each in value.items()}
        case bytes():
            return plain(value.hex(), _TEXT_WIDTH)
        case _:
            return plain(str(value), _TEXT_WIDTH)


def sentence(finding: str | tuple[str, str], values: Mapping[str, Any], what: str) -> Text | None:
    """Return a finding with its values, or None if one of them is null or not finite.

    Raises:
        BadPipeline: It names a value or a format that does not exist.
    """
    words: dict[str, Text | None] = {}
    for text in both(finding):
        for named in _NAMED.findall(text):
            words[named] = _words(named, values, what)
    if None in words.values():
        return None
    return Text(
        *(
            _NAMED.sub(lambda found: (words[found[1]] or same(""))[place], text)  # noqa: B023 - called here
            for place, text in enumerate(both(finding))
        )
    )


def _words(named: str, values: Mapping[str, Any], what: str) -> Text | None:
    name, _, form = named.partition(":")
    if name not in values:
        known = ", ".join(values) or "none"
        raise BadPipeline(f"{what}: its finding names {name!r}, which is no column: {known}.")
    value = values[name]
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if form and (form not in {"percent", "short"} or not (is_number or value is None)):
        raise BadPipeline(
            f"{what}: its finding cannot write {value!r} as {named!r}; the formats are 'percent' "
            "and 'short', for numbers."
        )
    if value is None or (is_number and not math.isfinite(value)):
        return None
    if form:
        return percent(float(value), 1) if form == "percent" else short(float(value))
    if is_number:
        return full(int(value)) if value == int(value) else number(float(value))
    if isinstance(value, datetime):
        return same(f"{json_value(value)[:16].replace('T', ' ')} UTC")
    return same(isolated(plain(str(value), 60)))


def _decimal(value: Decimal) -> Any:
    if not value.is_finite():
        return None
    if value == value.to_integral_value():
        return json_value(int(value))
    as_float = float(value)
    return as_float if Decimal(repr(as_float)) == value else str(value)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "text"
        case int() | float() | Decimal():
            return "number"
        case datetime():
            return "time"
        case date():
            return "date"
        case _:
            return "text"
