"""Values of a Parquet file as JSON values."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from fanfold.model import utc_text


def json_value(value: Any) -> Any:
    """Return a value as JSON: times as ISO 8601 in UTC, NaN and infinity as None."""
    if isinstance(value, datetime):
        return utc_text(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def json_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with JSON values."""
    return {name: json_value(value) for name, value in row.items()}
