"""Rows that DuckDB sorts and filters equal those of Python; columns are profiled."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanfold.errors import BadInput
from fanfold.queries.columns import BINS, MANY, profile_columns
from fanfold.queries.dataset import Frequency
from fanfold.queries.selection import Filter, Operator, select_rows

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("na\"me'; --", pa.string()),
        ("sales", pa.int64()),
        ("at", pa.timestamp("us", "UTC")),
        ("tags", pa.list_(pa.string())),
    ]
)
NAME = SCHEMA.names[1]
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            NAME: st.sampled_from(["Ab", "b%", "_", "'; DROP TABLE rows; --", "小明", None]),
            "sales": st.one_of(st.none(), st.integers(0, 4)),
        }
    ),
    max_size=30,
)
COMPARE = {
    Operator.EQUAL: lambda a, b: a is not None and a == b,
    Operator.NOT_EQUAL: lambda a, b: a != b,
    Operator.LESS: lambda a, b: a is not None and a < b,
    Operator.AT_MOST: lambda a, b: a is not None and a <= b,
    Operator.MORE: lambda a, b: a is not None and a > b,
    Operator.AT_LEAST: lambda a, b: a is not None and a >= b,
    Operator.IS_NULL: lambda a, _: a is None,
    Operator.IS_NOT_NULL: lambda a, _: a is not None,
}


def written(folder, rows, schema=SCHEMA):
    path = Path(folder) / "orders.parquet"
    rows = [{"id": str(place), **row} for place, row in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=7)
    return path


def ids(path, **query):
    found = select_rows(
        "orders", path, path.parent / "spill", **{"offset": 0, "limit": 500, **query}
    )
    return found.matched, [row[0] for row in found.page]


@settings(max_examples=25, deadline=None)
@given(
    rows=ROWS,
    operator=st.sampled_from(list(COMPARE)),
    value=st.integers(0, 4),
    text=st.sampled_from(["aB", "%", "_", "'; drop", "小"]),
    descending=st.booleans(),
    offset=st.integers(0, 9),
)
def test_all_rows_are_sorted_and_filtered(rows, operator, value, text, descending, offset):
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, rows)
        filters = [
            Filter("sales", operator, str(value)), Filter(NAME, Operator.CONTAINS, text),
        ]  # fmt: skip
        matched, page = ids(
            path, filters=filters, sort="sales", descending=descending, offset=offset, limit=5
        )
    fits = [
        (row["sales"], place)
        for place, row in enumerate(rows)
        if COMPARE[operator](row["sales"], value) and text.lower() in (row[NAME] or "").lower()
    ]
    some = [each for each in fits if each[0] is not None]
    some.sort(key=lambda each: (-each[0] if descending else each[0], each[1]))
    order = [str(place) for _, place in [*some, *(each for each in fits if each[0] is None)]]
    assert (matched, page) == (len(fits), order[offset : offset + 5])


def test_any_column_is_searched_and_values_have_the_type_of_their_column(tmp_path):
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    rows = [{NAME: "x", "at": moment}, {"tags": ["Rare, one"]}, {"sales": 77}]
    path = written(tmp_path, rows)
    anywhere = {text: ids(path, filters=[Filter("", Operator.CONTAINS, text)])[1] for text in ("rare", "77", "2026-07")}  # fmt: skip
    assert anywhere == {"rare": ["1"], "77": ["2"], "2026-07": ["0"]}
    assert ids(path, filters=[Filter("at", Operator.AT_LEAST, "2026-07-01T12:00:00Z")]) == (
        1,
        ["0"],
    )
    for bad in (Filter("at", Operator.LESS, "soon"), Filter("sales", Operator.EQUAL, "1 OR 1=1")):
        with pytest.raises(BadInput, match="not a value of the type"):
            ids(path, filters=[bad])
    for bad in ({"sort": "rowid"}, {"filters": [Filter('x" OR 1=1', Operator.IS_NULL)]}):
        with pytest.raises(BadInput, match="no column"):
            ids(path, **bad)


def test_columns_have_their_values(tmp_path):
    schema = pa.schema(
        [
            *SCHEMA,
            ("followers", pa.int64()),
            ("share", pa.float64()),
            ("price", pa.decimal128(9, 2)),
            ("day", pa.date32()),
            ("nothing", pa.float64()),
        ]
    )
    rows = [
        {
            NAME: None if n % 4 == 0 else ["A", "B"][n % 3 == 0],
            "sales": 5,
            "at": datetime(2026, 7, 1 + n % 30, tzinfo=UTC),
            "tags": ["a"],
            "followers": 2 ** (n % 20),
            "share": float("nan") if n == 1 else n / 1200,
            "price": Decimal(n % 3) / 2,
            "day": datetime(2026, 1, 1 + n % 2, tzinfo=UTC),
        }
        for n in range(1200)
    ]
    found = {
        each.name: each
        for each in profile_columns(written(tmp_path, rows, schema), tmp_path / "spill")
    }
    assert list(found) == schema.names
    name = found[NAME]
    assert (name.distinct, name.nulls, name.smallest, name.largest) == (2, 300, "A", "B")
    assert name.frequent == (Frequency("A", 600), Frequency("B", 300))
    assert (found["id"].distinct, found["id"].frequent) == (1200, ())
    assert (found["sales"].distinct, found["sales"].mean, found["sales"].distribution) == (
        1,
        5,
        None,
    )
    assert (found["tags"].distinct, found["tags"].smallest) == (None, None)
    assert (found["nothing"].distinct, found["nothing"].smallest, found["nothing"].mean) == (
        0,
        None,
        None,
    )
    share = found["share"]
    assert share.largest == 1199 / 1200
    assert sum(share.distribution.counts) == 1199
    assert max(share.distribution.counts) - min(share.distribution.counts) <= 2
    # A wide range has bins of equal width of the logarithm.
    followers = found["followers"].distribution
    assert (len(followers.edges), followers.edges[0], round(followers.edges[-1])) == (
        BINS + 1,
        1,
        2**19,
    )
    assert max(followers.counts) <= 3 * 60
    assert (found["price"].smallest, found["price"].largest, found["price"].mean) == (
        "0.00",
        "1.00",
        0.5,
    )
    assert found["at"].distribution.edges[0] == "2026-07-01T00:00:00.000Z"
    assert (found["day"].smallest, found["day"].distribution.counts[0]) == ("2026-01-01", 600)


def test_many_different_values_are_estimated(tmp_path):
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"id": range(3 * MANY)}), path)
    [column] = profile_columns(path, tmp_path / "spill")
    assert column.estimated
    assert 0.9 * 3 * MANY < column.distinct <= 3 * MANY
