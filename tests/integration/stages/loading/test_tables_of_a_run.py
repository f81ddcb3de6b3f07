"""A dataset and its folds are merged together, or not at all."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pyarrow as pa
import pytest

from fanfold.errors import Inconsistent
from fanfold.stages.loading import LoadResult, TargetTable

LINES = TargetTable("order_lines", ("order_id", "line"))
BY_DAY = TargetTable("revenue_by_day", ("day",))
TOP = TargetTable("top_orders", ("rank",))
TABLES = ("order_lines", "revenue_by_day", "top_orders")


def tables(price="1.25", orders=100, days=("2026-03-01", "2026-03-02"), ranks=3):
    """The dataset, and two folds that come before and after it in the order of names."""
    lines = 2 * orders
    return {
        LINES: pa.table(
            {
                "order_id": [f"A{number // 2}" for number in range(lines)],
                "line": [number % 2 for number in range(lines)],
                "price": pa.array([Decimal(price)] * lines, pa.decimal128(18, 2)),
            }
        ),
        TOP: pa.table({"rank": list(range(1, ranks + 1)), "price": [price] * ranks}),
        BY_DAY: pa.table({"day": list(days), "revenue": [price] * len(days)}),
    }


def load(warehouse, run):
    with warehouse.connect() as connection:
        return run.load(connection)


def test_a_run_fills_a_table_for_its_dataset_and_each_fold(warehouse, make_run):
    run = make_run(tables())
    assert load(warehouse, run) == [
        LoadResult("order_lines", 200, 0, 200, 200),
        LoadResult("top_orders", 3, 0, 3, 3),
        LoadResult("revenue_by_day", 2, 0, 2, 2),
    ]
    before = warehouse.everything(*TABLES)
    assert [result.written for result in load(warehouse, run)] == [0, 0, 0]
    assert warehouse.everything(*TABLES) == before


def test_a_failure_in_the_last_table_changes_no_table(warehouse, make_run):
    load(warehouse, make_run(tables()))
    before = warehouse.everything(*TABLES)
    newer = tables(price="9.99", orders=3_000)
    newer[TOP] = newer[TOP].set_column(0, "rank", pa.array([1, 2, None]))
    with pytest.raises(Inconsistent, match="Table 'top_orders': row 3 has no value in 'rank'"):
        load(warehouse, make_run(newer, day=2))
    assert warehouse.everything(*TABLES) == before


def test_an_older_run_overwrites_no_table(warehouse, make_run):
    load(warehouse, make_run(tables(price="2.00"), day=2))
    before = warehouse.everything(*TABLES)[:3]
    older = make_run(tables(price="1.00"), day=1)
    assert [result.written for result in load(warehouse, older)] == [0, 0, 0]
    assert warehouse.everything(*TABLES)[:3] == before


def test_rows_of_earlier_runs_stay_and_as_of_selects_the_latest(warehouse, make_run):
    load(warehouse, make_run(tables(ranks=3), day=1))
    load(warehouse, make_run(tables(ranks=2, days=["2026-03-02", "2026-03-03"]), day=2))
    assert warehouse.query("SELECT day FROM revenue_by_day ORDER BY day") == [
        ("2026-03-01",),
        ("2026-03-02",),
        ("2026-03-03",),
    ]
    latest = "WHERE as_of = (SELECT max(as_of) FROM top_orders) ORDER BY rank"
    assert warehouse.query(f"SELECT rank FROM top_orders {latest}") == [(1,), (2,)]
    assert warehouse.query("SELECT count(*) FROM top_orders") == [(3,)]


def test_a_table_without_a_file_in_the_manifest_is_named(warehouse, make_run):
    run = make_run(tables())
    lacking = dataclasses.replace(run.manifest, files=run.manifest.files[:2])
    with pytest.raises(Inconsistent, match="manifest has no Parquet file of 'revenue_by_day'"):
        load(warehouse, dataclasses.replace(run, manifest=lacking))


def test_runs_that_name_their_tables_in_another_order_do_not_deadlock(warehouse, make_run):
    """Each load waits for the other one's first table if they lock in the order of the targets."""
    older, newer = (
        make_run(tables(price=price, orders=1_000), day=day)
        for day, price in ((1, "1.00"), (2, "2.00"))
    )
    runs = [older, dataclasses.replace(newer, targets=newer.targets[::-1])]
    together = threading.Barrier(2)

    def run(each):
        together.wait(timeout=30)
        return load(warehouse, each)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, runs, timeout=60))
    assert warehouse.query("SELECT DISTINCT revenue FROM revenue_by_day") == [("2.00",)]
    assert warehouse.query("SELECT DISTINCT price FROM top_orders") == [("2.00",)]
