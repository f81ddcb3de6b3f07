"""Values of Arrow columns as PostgreSQL and SQLite store them."""

from __future__ import annotations

import json
import math
from datetime import date, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fanfold.errors import Inconsistent
from fanfold.stages.loading.tables import has_time_zone, is_binary, is_text, plain_type


def plain(column: pa.Array) -> pa.Array:
    """Return a column in the form that both databases get.

    Dictionaries are decoded, times have microseconds, lists and structs are JSON text. NUL is
    removed from text: PostgreSQL cannot store it.
    """
    kind = plain_type(column.type)
    if is_text(kind):
        return pc.replace_substring(column.cast(pa.string()), "\x00", "")
    if pa.types.is_nested(kind):
        return pa.array(map(_json, column.to_pylist(maps_as_pydicts="strict")), pa.string())
    return column.cast(_stored_type(kind), safe=False)


def _stored_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time(kind):
        return pa.time64("us")
    return pa.date32() if pa.types.is_date(kind) else kind


def copied(column: pa.Array) -> pa.Array:
    """Return a plain column as Arrow writes it into the CSV that PostgreSQL copies."""
    if is_binary(column.type):
        return pa.array(
            [None if value is None else f"\\x{value.hex()}" for value in column.to_pylist()],
            pa.string(),
        )
    return column


def in_sqlite(column: pa.Array, what: str) -> list[Any]:
    """Return a plain column as values of sqlite3; ``what`` names it in an error.

    Raises:
        Inconsistent: An integer has more than 64 bits.
    """
    kind = column.type
    if has_time_zone(kind):
        # The cast drops the zone and writes UTC as 2026-01-01 00:00:00.000000, ten times faster
        # than strftime.
        text = column.cast(pa.timestamp("us")).cast(pa.string())
        column = pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), "Z", "")
    elif pa.types.is_timestamp(kind):
        column = pc.replace_substring(column.cast(pa.string()), " ", "T")
    elif pa.types.is_date(kind) or pa.types.is_time(kind):
        column = column.cast(pa.string())
    elif pa.types.is_decimal(kind) and kind.scale:
        # Arrow would write small values with an exponent.
        return [None if value is None else f"{value:f}" for value in column.to_pylist()]
    elif pa.types.is_decimal(kind) or pa.types.is_uint64(kind):
        column = _int64(column, what)
    values: list[Any] = column.to_pylist()
    return values


def _int64(column: pa.Array, what: str) -> pa.Array:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise Inconsistent(
            f"{what} has an integer that does not fit into the 64 bits of SQLite; cast it to text "
            "in the pipeline, or load into PostgreSQL."
        ) from error


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(_document(value), ensure_ascii=False)


def _document(value: Any) -> Any:
    """Return a value as a JSON document; what JSON cannot express is text, NaN is null."""
    document = value
    match value:
        case str():
            document = value.replace("\x00", "")
        case float() if not math.isfinite(value):
            document = None
        case dict():
            document = {_document(str(name)): _document(inner) for name, inner in value.items()}
        case list():
            document = [_document(inner) for inner in value]
        case bytes():
            document = value.hex()
        case Decimal():
            document = f"{value:f}"
        case date() | time():
            document = value.isoformat()
    return document
