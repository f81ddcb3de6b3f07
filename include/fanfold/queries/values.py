"""Values of a Parquet file as JSON values."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fanfold.model import utc_text

MAX_TEXT = 2_000


def json_value(value: Any) -> Any:
    """Return a value as JSON.

    Texts are cut after :data:`MAX_TEXT` characters. Times are ISO 8601 in UTC, decimals keep their
    digits as text, NaN and infinity are None, bytes are in hex.
    """
    if isinstance(value, datetime):
        return utc_text(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    if isinstance(value, dict):
        return json_row(value)
    text = value if value is None or isinstance(value, int | str) else _text(value)
    if isinstance(text, str) and len(text) > MAX_TEXT:
        return f"{text[:MAX_TEXT]}…"
    return text


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.hex() if isinstance(value, bytes) else str(value)


def json_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with JSON values."""
    return {name: json_value(value) for name, value in row.items()}
