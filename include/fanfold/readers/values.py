"""Values of files and databases: as JSON, as keys, in messages."""

from __future__ import annotations

import math
import re
from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN_CHARACTERS = 60
_EXACT = 2**53
"""Below, a float is exactly one integer (IEEE 754)."""
_HALF = re.compile("[\ud800-\udfff]")
_DIGITS = 76
"""Digits of the widest decimal of Parquet and Arrow."""


def check_unique(columns: Iterable[str], where: str) -> None:
    """Raise :class:`BadInput` if two columns have the same name: one would replace the other."""
    places: dict[str, int] = {}
    for place, name in enumerate(columns, start=1):
        if name and places.setdefault(name, place) != place:
            raise BadInput(
                f"{where}: the columns {places[name]} and {place} have the same name. Rename one of them."
            )


def json_value(value: Any) -> Any:
    """Return a value of a Parquet file or a database as a JSON value.

    Dates and times become ISO 8601, bytes, infinity and other types their text; NaN becomes null.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    if isinstance(value, dict):
        return {str(name): json_value(each) for name, each in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    return value.isoformat() if isinstance(value, date | time) else str(value)


def key_text(value: Any) -> str:
    """Return a key of a file or a database as text.

    Whole numbers of any type are integers: pandas makes floats of integers with nulls between them, and
    databases store ids as ``decimal(38,0)``.

    Raises:
        ValueError: It is no text of Unicode, date or whole number, or a float that may have lost digits.
    """
    if isinstance(value, str):
        if not value.isascii() and _HALF.search(value):
            raise ValueError("a text contains a lone surrogate, which is not Unicode")
        return value.removeprefix("\ufeff")
    if isinstance(value, float) and not abs(value) < _EXACT:
        raise ValueError(
            "a float holds whole numbers up to 2**53 only; write it as integer or text"
        )
    if isinstance(value, Decimal) and not (value.is_finite() and value.adjusted() < _DIGITS):
        raise ValueError(f"a number has up to {_DIGITS} digits")
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if is_number and value == int(value):
        return str(int(value))
    if isinstance(value, bytes | date | time):
        return str(json_value(value))
    raise ValueError("an item is a string or an integer")


def shortened(raw: Any) -> str:
    """Return the start of a value in ASCII, for a message."""
    text = str(raw)
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return ascii(cut) + (f" ({len(text)} characters)" if cut != text else "")
