"""Values are read without loss or not at all."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fanfold.stages.processing.coercion import coerce, kind_of

SHANGHAI = pa.timestamp("us", "Asia/Shanghai")
UTC_TIME = pa.timestamp("us", "UTC")
CATEGORY = pa.dictionary(pa.int8(), pa.string())
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
READ = [
    (pa.string(), "x", "x"),
    (pa.string(), 2**60, str(2**60)),
    (pa.string(), "a\0\ud800", "a?"),
    (pa.int64(), " 12 ", 12),
    (pa.int64(), 12.0, 12),
    (pa.int64(), np.int64(5), 5),
    (pa.int64(), 2**63 - 1, 2**63 - 1),
    (pa.uint8(), 255, 255),
    (pa.float64(), "1e3", 1000.0),
    (pa.float64(), 2**60 + 1, float(2**60)),
    (pa.bool_(), "True", True),
    (pa.bool_(), 0, False),
    (UTC_TIME, "2026-01-01T20:00:00+08:00", NOON),
    (UTC_TIME, "2026-01-01T12:00:00Z", NOON),
    (UTC_TIME, pd.Timestamp("2026-01-01 12:00"), NOON),
    (SHANGHAI, "2026-01-01 20:00", NOON),
    (pa.timestamp("us"), NOON, NOON.replace(tzinfo=None)),
    (pa.date32(), "2026-01-01", date(2026, 1, 1)),
    (pa.date32(), datetime(2026, 1, 1), date(2026, 1, 1)),  # noqa: DTZ001
    (pa.decimal128(6, 2), 0.1, Decimal("0.10")),
    (pa.decimal128(6, 2), "9999.99", Decimal("9999.99")),
    (pa.decimal128(6, 2), Decimal("1.500"), Decimal("1.50")),
    (CATEGORY, "f", "f"),
    (pa.list_(pa.int64()), ["1", None], [1, None]),
    (pa.struct([("a", pa.int64())]), {"a": 1.0, "b": 2}, {"a": 1}),
]
UNREADABLE = [
    (pa.string(), 1.5),
    (pa.string(), True),
    (pa.string(), ["x"]),
    (pa.int64(), 1.5),
    (pa.int64(), True),
    (pa.int64(), 2**63),
    (pa.int64(), "1_000"),
    (pa.int64(), ""),
    (pa.int8(), 128),
    (pa.uint8(), -1),
    (pa.float64(), float("inf")),
    (pa.float64(), "nan"),
    (pa.float64(), 10**400),
    (pa.float32(), 1e300),
    (pa.bool_(), 2),
    (pa.bool_(), "yes"),
    (UTC_TIME, 1767225600),
    (UTC_TIME, "yesterday"),
    (pa.date32(), "2026-01-01T12:00"),
    (pa.decimal128(6, 2), "1.005"),
    (pa.decimal128(6, 2), 10000),
    (pa.decimal128(6, 2), Decimal("Infinity")),
    (CATEGORY, "?"),
    (pa.list_(pa.int64()), [1.5]),
    (pa.list_(pa.int64()), "1"),
    (pa.struct([("a", pa.int64())]), {"a": True}),
]


def kind(type_):
    return kind_of(type_, ["m", "f"] if type_ == CATEGORY else ())


@pytest.mark.parametrize(("type_", "value", "expected"), READ, ids=repr)
def test_a_value_that_can_be_read_is_exact(type_, value, expected):
    array, unreadable = coerce(pd.Series([None, value, pd.NA], dtype=object), kind(type_))
    assert array.type == type_
    assert array.to_pylist() == [None, expected, None]
    assert not unreadable


@pytest.mark.parametrize(("type_", "value"), UNREADABLE, ids=repr)
def test_a_value_that_cannot_be_read_without_loss_is_null_and_reported(type_, value):
    good = (
        next(each for of_type, each, _ in READ if of_type == type_)
        if type_ not in {pa.int8(), pa.float32()}
        else 1
    )
    array, unreadable = coerce(pd.Series([good, value, None, good], dtype=object), kind(type_))
    assert array.is_null().to_pylist() == [False, True, True, False]
    assert list(unreadable) == [1]


@pytest.mark.parametrize(
    ("type_", "values", "bad"),
    [
        (pa.int64(), pd.Series([1.0, 1.5, np.nan]), [1]),
        (pa.int64(), pd.Series([1.0, 2.0**70]), [1]),
        (pa.int64(), pd.Series([True, False]), [0, 1]),
        (pa.int8(), pd.Series([1, 300]), [1]),
        (pa.float64(), pd.Series([1.0, np.inf]), [1]),
        (pa.bool_(), pd.Series([0, 1, 2]), [2]),
        (pa.string(), pd.Series([1.0, 2.0]), [0, 1]),
        (pa.date32(), pd.Series([NOON.replace(hour=0), NOON]), [1]),
        (UTC_TIME, pd.Series([1, 2]), [0, 1]),
        (CATEGORY, pd.Series(["m", "x"], dtype="category"), [1]),
        (CATEGORY, pd.Series(["f", None], dtype="str"), []),
        (pa.decimal128(4, 1), pd.Series([0.1, 0.25]), [1]),
        (SHANGHAI, pd.Series(pd.to_datetime(["2026-01-01", None])), []),
    ],
    ids=repr,
)
def test_columns_of_a_pandas_type_are_as_strict(type_, values, bad):
    array, unreadable = coerce(values, kind(type_))
    assert array.type == type_
    assert list(unreadable) == bad
    expected = [row in bad or missing for row, missing in enumerate(values.isna())]
    assert array.is_null().to_pylist() == expected


def test_a_naive_column_is_in_the_zone_of_the_contract():
    array, _ = coerce(pd.Series(pd.to_datetime(["2026-01-01 20:00"])), kind(SHANGHAI))
    assert array.to_pylist() == [NOON]


NUMBERS = st.from_regex(r"[+-]?[0-9]{0,20}(\.[0-9]{0,4})?([eE]-?[0-9]{1,4})?", fullmatch=True)
DATES = st.from_regex(
    r"([0-9]{4}|2026)-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,7})?)?"
    r"(Z|[+-][01][0-9]:?[0-5][0-9])?)?",
    fullmatch=True,
)
FLAGS = st.sampled_from(["true", "FALSE", "True", "fal\u017fe", "yes", "1", "0"])
TEXTS = st.lists(
    st.builds(
        "{}{}{}".format,
        *(st.sampled_from(["", "", "", " ", "\n", "\u0661"]), NUMBERS | DATES | FLAGS),
        st.sampled_from(["", "", "", " ", "\n", "x", "\0"]),
    )
    | st.none(),
    max_size=12,
)
TYPES = [
    *(pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_(), pa.date32()),
    *(pa.decimal128(6, 2), pa.decimal128(38, 0), pa.decimal128(5, 5), pa.decimal256(50, 2)),
    *(pa.timestamp("us"), UTC_TIME, SHANGHAI),
]


@given(TEXTS)
@example(["fal\u017fe", "true", None])
@example(["2023-02-29", "2024-02-29", "0000-01-01", "9999-12-31T23:30-01:00", "2026-01-01T24:00"])
@example(["1e400", "3.5e38", "128", "18446744073709551615", "-0.00", "99999.9", "\u0661"])
def test_texts_converted_at_once_are_as_those_read_one_by_one(texts):
    for type_ in TYPES:
        one_by_one = kind(type_)
        expected, unreadable = [], {}
        for place, text in enumerate(texts):
            try:
                expected.append(None if text is None else one_by_one.read(text))
            except (ValueError, TypeError, ArithmeticError):
                expected.append(None)
                unreadable[place] = text
        expected = pa.array(expected, type_)
        for dtype in ("str", object):
            array, found = coerce(pd.Series(texts, dtype=dtype), one_by_one)
            assert array.equals(expected), type_
            assert list(found) == list(unreadable)
