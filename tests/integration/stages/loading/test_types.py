"""Values of every type arrive unchanged, in both databases."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest

from fanfold.errors import BadConfiguration, Inconsistent
from fanfold.stages.loading import TargetTable

ORDERS = TargetTable("orders", ("id",))
MONEY = pa.decimal128(38, 10)
AMOUNTS = [
    Decimal("1234567890123456789012345678.0123456789"),
    Decimal("-0.0000000001"),
    Decimal("0.1000000000"),
    Decimal("0E-10"),
    None,
]


def orders(**columns):
    """A table whose first column is the key."""
    count = len(next(iter(columns.values())))
    return pa.table({"id": pa.array(range(count), pa.int64()), **columns})


def test_decimals_are_exact_to_the_last_digit(warehouse, make_dataset):
    warehouse.load(make_dataset(orders(amount=pa.array(AMOUNTS, MONEY)), target=ORDERS))
    found = [amount for (amount,) in warehouse.query("SELECT amount FROM orders ORDER BY id")]
    digits = [None if amount is None else f"{amount:f}" for amount in AMOUNTS]
    if warehouse.kind == "sqlite":
        assert found == digits
    else:
        assert [None if amount is None else f"{amount:f}" for amount in found] == digits
        assert warehouse.query("SELECT sum(amount)::text FROM orders") == [
            ("1234567890123456789012345678.1123456788",)
        ]


def test_a_decimal_and_a_date_can_be_the_key(warehouse, make_dataset):
    target = TargetTable("prices", ("day", "price"))
    schema = pa.schema({"day": pa.date32(), "price": pa.decimal128(9, 2), "n": pa.int32()})

    def prices(n):
        row = {"day": date(2026, 3, 1), "price": Decimal("1.10"), "n": n}
        return pa.Table.from_pylist([row, {**row, "price": Decimal("1.20")}], schema=schema)

    assert warehouse.load(make_dataset(prices(1), target=target)).written == 2
    assert warehouse.load(make_dataset(prices(2), target=target, day=2)).rows_in_table == 2
    assert warehouse.query("SELECT n FROM prices") == [(2,), (2,)]


def test_sums_of_integers_stay_integers(warehouse, make_dataset):
    """DuckDB's sum of a BIGINT is a DECIMAL(38, 0)."""
    sums = [2**63 - 1, -(2**63), 9, 10]
    column = pa.array([Decimal(each) for each in sums], pa.decimal128(38, 0))
    warehouse.load(make_dataset(orders(total=column), target=ORDERS))
    assert warehouse.query("SELECT total FROM orders ORDER BY total") == [
        (each,) for each in sorted(sums)
    ]


@pytest.mark.parametrize("kind", [pa.decimal128(38, 0), pa.uint64()])
def test_an_integer_too_large_for_sqlite_is_rejected_and_exact_in_postgres(
    sqlite_warehouse, postgres_warehouse, make_dataset, kind
):
    column = pa.array([2**64 - 1], pa.uint64()).cast(kind)
    large = make_dataset(orders(total=column), target=ORDERS)
    with pytest.raises(Inconsistent, match="'orders': column 'total' has an integer that does not"):
        sqlite_warehouse.load(large)
    assert postgres_warehouse.load(large).written == 1
    assert postgres_warehouse.query("SELECT total FROM orders") == [(2**64 - 1,)]


def test_lists_and_structs_are_json(warehouse, make_dataset):
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    inner = {"price": Decimal("1.50"), "at": moment, "day": date(2026, 3, 1), "ratio": 0.5}
    columns = {
        "tags": pa.array([["a\x00b", '"x" \\u0000', "€", None], [], None]),
        "prices": pa.array([inner, {"ratio": float("nan")}, None]),
        "lines": pa.array([[{"n": 1}, {"n": 2}], None, []]),
        "sizes": pa.array([[("S", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    }
    dataset = make_dataset(orders(**columns), target=ORDERS)
    assert warehouse.load(dataset).written == 3
    assert warehouse.load(dataset).written == 0
    rows = warehouse.query("SELECT tags, prices, lines, sizes FROM orders ORDER BY id")
    if warehouse.kind == "sqlite":
        rows = [tuple(None if text is None else json.loads(text) for text in row) for row in rows]
        assert warehouse.query("SELECT json_extract(lines, '$[1].n') FROM orders LIMIT 1") == [(2,)]
    document = {"price": "1.50", "at": moment.isoformat(), "day": "2026-03-01", "ratio": 0.5}
    assert rows == [
        (["ab", '"x" \\u0000', "€", None], document, [{"n": 1}, {"n": 2}], {"S": 1}),
        ([], dict.fromkeys(document), None, {}),
        (None, None, [], None),
    ]


def test_bytes_and_times_arrive(warehouse, make_dataset):
    local = datetime(2026, 3, 1, 5)  # noqa: DTZ001 - a time without a zone is what is loaded
    columns = {
        "data": pa.array([b"\x00\xff\\x", b"", None]),
        "at": pa.array([time(1, 2, 3, 4), None, time(0)], pa.time64("us")),
        "local": pa.array([local, None, None], pa.timestamp("ns")),
    }
    warehouse.load(make_dataset(orders(**columns), target=ORDERS))
    found = warehouse.query("SELECT data, at, local FROM orders ORDER BY id")
    first = (b"\x00\xff\\x", time(1, 2, 3, 4), local)
    midnight = time(0)
    if warehouse.kind == "sqlite":
        first = (first[0], "01:02:03.000004", "2026-03-01T05:00:00.000000")
        midnight = "00:00:00.000000"
    assert found == [first, (b"", None, None), (None, midnight, None)]


def test_small_numbers_and_categories_arrive(warehouse, make_dataset):
    columns = {
        "tiny": pa.array([-128, 127], pa.int8()),
        "half": pa.array([0.1, 1e30], pa.float32()),
        "level": pa.array([7, 8]).dictionary_encode(),
        "text": pa.array(["", "x"], pa.large_string()),
    }
    warehouse.load(make_dataset(orders(**columns), target=ORDERS))
    half = columns["half"].cast(pa.float64()).to_pylist()
    assert warehouse.query("SELECT tiny, half, level, text FROM orders ORDER BY id") == [
        (-128, half[0], 7, ""),
        (127, half[1], 8, "x"),
    ]


def test_nan_is_kept_in_postgres_and_null_in_sqlite(warehouse, make_dataset):
    infinity = float("inf")
    dataset = make_dataset(
        orders(x=pa.array([float("nan"), infinity, -infinity, None])), target=ORDERS
    )
    warehouse.load(dataset)
    assert warehouse.load(dataset).written == 0
    found = [x for (x,) in warehouse.query("SELECT x FROM orders ORDER BY id")]
    assert str(found[0]) == {"sqlite": "None", "postgres": "nan"}[warehouse.kind]
    assert found[1:] == [infinity, -infinity, None]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (pa.float64(), MONEY),
        (pa.int64(), pa.float64()),
        (MONEY, pa.float64()),
        (pa.float64(), pa.int64()),
        (pa.string(), pa.int64()),
        (pa.string(), pa.bool_()),
    ],
    ids=str,
)
def test_a_column_whose_type_would_change_values_is_named(warehouse, make_dataset, before, after):
    first, second = (orders(x=pa.array([1]).cast(kind)) for kind in (before, after))
    warehouse.load(make_dataset(first, target=ORDERS))
    with pytest.raises(BadConfiguration, match=r"'orders': column 'x' has the type .* alter"):
        warehouse.load(make_dataset(second, target=ORDERS, day=2))


def test_a_date_does_not_become_midnight_in_the_time_zone_of_the_session(
    postgres_warehouse, make_dataset
):
    day = pa.array([date(2026, 3, 1)])
    moments = orders(x=day.cast(pa.timestamp("us", "UTC")))
    postgres_warehouse.load(make_dataset(moments, target=ORDERS))
    with pytest.raises(BadConfiguration, match=r"'x' has the type TIMESTAMP, .* type DATE"):
        postgres_warehouse.load(make_dataset(orders(x=day), target=ORDERS, day=2))


WIDER = {
    "postgres": (["ALTER TABLE orders ALTER COLUMN x TYPE double precision"], []),
    "sqlite": (
        ["ALTER TABLE orders RENAME TO orders_old"],
        ["INSERT INTO orders SELECT * FROM orders_old WHERE id NOT IN (SELECT id FROM orders)"],
    ),
}


def test_a_column_is_widened_as_the_docs_say(warehouse, make_dataset):
    """docs/questions/add-a-column.md: Postgres alters the column, SQLite gets a new table and the rows of the old one."""
    before, after = WIDER[warehouse.kind]
    warehouse.load(make_dataset(orders(x=pa.array([1, 2])), target=ORDERS))
    wider = make_dataset(orders(x=pa.array([0.5])), target=ORDERS, day=2)
    with pytest.raises(BadConfiguration, match="alter the column's type, or rename the table"):
        warehouse.load(wider)
    warehouse.run(*before)
    warehouse.load(wider)
    warehouse.run(*after)
    assert warehouse.query("SELECT id, x FROM orders ORDER BY id") == [(0, 0.5), (1, 2.0)]


def test_more_decimal_places_than_those_of_the_column_are_rejected(
    postgres_warehouse, make_dataset
):
    for day, kind in enumerate((pa.decimal128(10, 2), pa.decimal128(8, 1)), start=1):
        rows = orders(x=pa.array([Decimal("1.5")], kind))
        assert postgres_warehouse.load(make_dataset(rows, target=ORDERS, day=day)).written == 1
    rows = orders(x=pa.array([Decimal("1.555")], pa.decimal128(10, 3)))
    with pytest.raises(BadConfiguration, match=r"type NUMERIC\(10, 2\), .* type NUMERIC\(10, 3\)"):
        postgres_warehouse.load(make_dataset(rows, target=ORDERS, day=3))


@pytest.mark.parametrize("column", ["day", "as_of"])
def test_a_row_without_a_key_is_rejected_and_named(warehouse, make_dataset, column):
    target = TargetTable("by_day", ("shop", "day"))
    rows = [{"shop": "x", "day": date(2026, 3, 1)} for _ in range(3_000)]
    rows[2_701][column] = None
    schema = pa.schema(
        {"shop": pa.string(), "day": pa.date32(), "as_of": pa.timestamp("us", "UTC")}
    )
    named = f"Table 'by_day': row 2702 has no value in '{column}', and rows are merged by shop, day"
    with pytest.raises(Inconsistent, match=named):
        warehouse.load(make_dataset(rows, schema=schema, target=target))
