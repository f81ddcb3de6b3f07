"""The records that a function of the pipeline returned, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanfold.sources import Record

_ALLOWED = (
    "a record (a dict) or an iterable of records; values may be text, numbers, True, False, None, "
    "lists, dicts, dates, Decimal and numpy scalars"
)


class NotRecordsError(TypeError):
    """What a function returned is not JSON; the text names it and what may be returned."""


def records_of(result: Any) -> list[Record]:
    """Return the records in the result of a function.

    Dates become ISO 8601, Decimals text, scalars and arrays of numpy numbers and lists.

    Raises:
        NotRecordsError: The result is not JSON.
    """
    if isinstance(result, Mapping):
        return [_as_json(result)]
    # Iterating a frame gives the names of its columns.
    if not isinstance(result, Iterable) or isinstance(result, (str, bytes)) or _is_frame(result):
        hint = ": use .to_dict('records')" if _is_frame(result) else ""
        raise NotRecordsError(f"it returned {_kind(result)}{hint}; it must return {_ALLOWED}")
    return [_as_json(record) for record in result]


def _as_json(record: Any) -> Record:
    try:
        return json.loads(json.dumps(record, default=_converted, allow_nan=False))
    except ValueError as error:
        if isinstance(error, UnicodeError) or "float" not in str(error):
            raise NotRecordsError(f"a record is not JSON: {error}") from None
        raise NotRecordsError("a record has NaN or Infinity, which JSON lacks; use None") from None
    except (TypeError, RecursionError) as error:
        raise NotRecordsError(f"a record is not JSON: {error}; it must return {_ALLOWED}") from None


def _converted(value: Any) -> Any:
    if isinstance(value, (date, datetime, time)):
        return value.isoformat() if value == value else None  # noqa: PLR0124 - NaT
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "dtype"):
        return str(value) if value.dtype.kind == "M" else value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{_kind(value)} cannot be written")


def _is_frame(value: Any) -> bool:
    return hasattr(value, "to_dict") and hasattr(value, "columns")


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
