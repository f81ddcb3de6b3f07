"""Rows as the cells of a CSV file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"
"""Cells that a spreadsheet evaluates as a formula. Source: OWASP, "CSV Injection"."""
_PLAIN_SCALE = 6
"""Arrow writes decimals with more decimal places in scientific notation: 0 as ``0E-7``."""


def for_csv(rows: pa.Table) -> pa.Table:
    """Return the rows with columns that CSV can hold, and with formulas escaped."""
    return pa.table(list(map(_csv_column, rows.columns)), names=rows.column_names)


def _csv_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_nested(kind):
        return _texts(column, lambda value: json.dumps(value, ensure_ascii=False, default=str))
    if pa.types.is_decimal(kind) and kind.scale > _PLAIN_SCALE:
        return _texts(column, lambda value: f"{value:f}")
    if pa.types.is_timestamp(kind) and kind.tz == "UTC":
        # The same text as Arrow writes of times with a time zone, in a twentieth of the time.
        texts = column.cast(pa.timestamp(kind.unit)).cast(pa.string())
        return pc.binary_join_element_wise(texts, "Z", "")
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_string(column.type):
        formula = pc.match_substring_regex(column, _FORMULA)
        if pc.any(formula).as_py():
            return pc.if_else(formula, pc.binary_join_element_wise("'", column, ""), column)
    return column


def _texts(column: pa.ChunkedArray, text: Callable[[Any], str]) -> pa.ChunkedArray:
    found = (None if value is None else text(value) for value in column.to_pylist())
    return pa.chunked_array([pa.array(list(found), pa.string())])
