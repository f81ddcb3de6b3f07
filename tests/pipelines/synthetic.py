"""Rows of any contract: one value of its type a column, nulls where the contract allows them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa

_START = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)


def rows(schema, count, categories=None):
    """Return a table of ``count`` rows that has a schema, a function of both."""
    return pa.table([_column(field, count, categories or {}) for field in schema], schema=schema)


def _column(field, count, categories):
    known = categories.get(field.name)
    values = [
        None if field.nullable and row % 5 == 4 else _value(field, row, known)
        for row in range(count)
    ]
    return pa.array(values, field.type)


def _value(field, row, known):
    kind = field.type
    if known:
        return known[row % len(known)]
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return f"{field.name} {row}"
    if pa.types.is_boolean(kind):
        return row % 2 == 0
    if pa.types.is_integer(kind):
        return row % 100 + 1
    if pa.types.is_floating(kind):
        return row % 100 + 0.5
    if pa.types.is_decimal(kind):
        return Decimal(row % 100 + 1)
    if pa.types.is_timestamp(kind):
        moment = _START + dt.timedelta(hours=row)
        return moment if kind.tz else moment.replace(tzinfo=None)
    if pa.types.is_date(kind):
        return (_START + dt.timedelta(days=row)).date()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_value(kind.value_field, row, None)]
    if pa.types.is_struct(kind):
        return {each.name: _value(each, row, None) for each in kind}
    raise TypeError(f"{field.name}: no value of the type {kind}")
