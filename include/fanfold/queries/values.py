"""Values of a Parquet file as JSON has them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from fanfold.model import utc_text


def plain(value: Any) -> Any:
    """Return a value as JSON has it: moments as ISO 8601 in UTC, what is no number as None."""
    if isinstance(value, datetime):
        return utc_text(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def plain_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as JSON has it."""
    return {name: plain(value) for name, value in row.items()}
