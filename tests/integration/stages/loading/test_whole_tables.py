"""In mode ``merge``, tables are made equal to the dataset and the folds of the newest generation."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from fanfold.errors import BadConfiguration
from fanfold.stages.loading import LoadResult, TargetTable, check_database

ORDERS = TargetTable("orders", ("shop", "order_id"))
BEST = TargetTable("best_products", ("rank",))
OLD, NEW = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)


def tables(orders, ranks=1):
    """``orders``: price and time of the run that brought it, by id."""
    prices, times = zip(*orders.values(), strict=True) if orders else ((), ())
    return {
        ORDERS: pa.table(
            {
                "shop": pa.array(["a"] * len(orders), pa.string()),
                "order_id": pa.array(list(orders), pa.string()),
                "price": pa.array(prices, pa.float64()),
                "tags": pa.array([["x", None]] * len(orders), pa.list_(pa.string())),
                "as_of": pa.array(times, pa.timestamp("us", "UTC")),
            }
        ),
        BEST: pa.table({"rank": pa.array(range(1, ranks + 1), pa.int64())}),
    }


def load(warehouse, run):
    with warehouse.connect() as connection:
        return run.load(connection)


def orders_in(warehouse):
    return warehouse.query("SELECT order_id, price FROM orders ORDER BY order_id")


def test_rows_that_differ_are_written_and_those_of_other_keys_deleted(warehouse, make_run):
    """Also a row that the run made older, and one that somebody else wrote."""
    first = tables({"1": (1.0, OLD), "2": (None, OLD), "3": (3.0, NEW), "4": (math.nan, OLD)}, 3)
    load(warehouse, make_run(first, generation=1))
    warehouse.run("INSERT INTO orders (shop, order_id, as_of) VALUES ('b', '1', '2030-01-01')")
    second = tables({"1": (1.0, OLD), "2": (2.0, OLD), "3": (3.5, OLD), "5": (5.0, NEW)}, 1)
    run = make_run(second, day=2, generation=2)
    assert load(warehouse, run) == [
        LoadResult("orders", 4, 0, written=3, rows_in_table=4, deleted=2),
        # The time of the run is that of all rows of a fold.
        LoadResult("best_products", 1, 0, written=1, rows_in_table=1, deleted=2),
    ]
    assert orders_in(warehouse) == [("1", 1.0), ("2", 2.0), ("3", 3.5), ("5", 5.0)]
    before = warehouse.everything("orders", "best_products")
    assert [(each.written, each.deleted) for each in load(warehouse, run)] == [(0, 0), (0, 0)]
    assert warehouse.everything("orders", "best_products") == before
    load(warehouse, make_run(tables({}, 0), day=3, generation=3))
    assert warehouse.everything("orders", "best_products")[:2] == [[], []]


def test_rows_that_do_not_differ_are_not_written(warehouse, make_run):
    rows = tables({"1": (None, OLD), "2": (math.nan, OLD), "3": (3.0, OLD)})
    load(warehouse, make_run(rows, generation=1))
    assert load(warehouse, make_run(rows, day=2, generation=2))[0].written == 0


def test_a_column_that_the_rows_no_longer_have_keeps_its_values_and_a_new_one_is_null_until_written(
    warehouse, make_run
):
    load(warehouse, make_run(tables({"1": (1.0, OLD), "2": (2.0, OLD)}), generation=1))
    second = tables({"1": (1.0, OLD), "3": (3.0, NEW)})
    rows = second[ORDERS]
    second[ORDERS] = rows.drop_columns("price").append_column("net", rows["price"])
    load(warehouse, make_run(second, day=2, generation=2))
    found = warehouse.query("SELECT order_id, price, net FROM orders ORDER BY order_id")
    assert found == [("1", 1.0, 1.0), ("3", None, 3.0)]


def test_an_older_generation_is_not_loaded_and_says_so(warehouse, make_run):
    """The later run has the older generation: it was published first, and its load came later."""
    load(warehouse, make_run(tables({"1": (2.0, OLD)}), day=1, generation=3))
    results = load(warehouse, make_run(tables({"2": (1.0, NEW)}, 5), day=2, generation=2))
    assert [(each.written, each.rows_in_table) for each in results] == [(0, 1), (0, 1)]
    assert "generation 3 of the dataset, and this run has 2" in str(results[0].skipped)
    assert orders_in(warehouse) == [("1", 2.0)]
    loaded = warehouse.query("SELECT generation FROM fanfold_runs ORDER BY generation")
    assert loaded == [(2,), (3,)]


def test_generations_of_other_dags_and_runs_without_one_do_not_matter(warehouse, make_run):
    load(warehouse, make_run(tables({"1": (2.0, NEW)}), day=3))
    warehouse.run(
        "INSERT INTO fanfold_runs (dag_id, run_id, generation, finished_at) "
        "VALUES ('other', 'x', 99, '2026-03-01T00:00:00Z')"
    )
    (orders, _) = load(warehouse, make_run(tables({"2": (1.0, OLD)}), day=1, generation=2))
    assert (orders.written, orders.deleted, orders.skipped) == (1, 1, None)


def test_a_dataset_that_starts_anew_counts_from_one_again(warehouse, make_run):
    """Somebody deleted the dataset in the bucket; a late load of the first run does not count."""
    first = make_run(tables({"1": (1.0, OLD)}), day=1, generation=1)
    for run in (first, make_run(tables({"1": (2.0, OLD)}), day=2, generation=7)):
        load(warehouse, run)
    assert load(warehouse, first)[0].skipped
    for day, generation in ((3, 1), (4, 2)):
        run = make_run(tables({"1": (float(day), OLD)}), day=day, generation=generation)
        assert not load(warehouse, run)[0].skipped
    assert orders_in(warehouse) == [("1", 4.0)]


def test_the_generation_is_checked_after_waiting_for_another_load(postgres_warehouse, make_run):
    """An older one that started first waits for the tables while a newer one is loaded."""
    older = make_run(tables({"1": (1.0, OLD)}), day=1, generation=1)
    newer = make_run(tables({"1": (2.0, OLD)}), day=2, generation=2)
    lock = "(hashtext('fanfold'), hashtext('best_products'))"
    with (
        postgres_warehouse.connect() as holder,
        postgres_warehouse.connect(autocommit=True) as observer,
        ThreadPoolExecutor(1) as pool,
    ):
        holder.execute(f"SELECT pg_advisory_lock{lock}")
        loading = pool.submit(load, postgres_warehouse, older)
        while not observer.execute(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ).fetchall():
            assert not loading.done()
        newer.load(holder)
        holder.execute(f"SELECT pg_advisory_unlock{lock}")
        assert loading.result(timeout=30)[0].skipped
    assert orders_in(postgres_warehouse) == [("1", 2.0)]


def test_a_table_that_is_made_equal_to_a_dataset_belongs_to_one_dag(warehouse, make_run):
    rows = tables({"1": (1.0, OLD)})
    load(warehouse, make_run(rows, generation=1))

    def of_another_dag(generation, prefix="", others=(BEST,)):
        run = make_run(rows, day=2, generation=generation)
        targets = [
            replace(t, name=t.name if t in others else prefix + t.name, rows_of=t.name)
            for t in run.targets
        ]
        return replace(run, manifest=replace(run.manifest, dag_id="other"), targets=tuple(targets))

    before = warehouse.everything("orders", "best_products")
    for generation in (0, 1):  # 0: a snapshot, whose rows the next merge would delete
        with pytest.raises(
            BadConfiguration, match=r"'orders' has the rows of DAG 'weibo_user_prof"
        ):
            load(warehouse, of_another_dag(generation, others=(ORDERS, BEST)))
        # One of a fold, too, whatever the name of the dataset.
        with pytest.raises(BadConfiguration, match=r"'best_products' has the rows"):
            load(warehouse, of_another_dag(generation, prefix="us_"))
    with warehouse.connect() as connection, pytest.raises(BadConfiguration, match="table_prefix"):
        check_database(connection, (ORDERS,), "warehouse", mode="merge", dag_id="other")
    assert warehouse.everything("orders", "best_products") == before
    (orders, _) = load(warehouse, of_another_dag(1, prefix="us_", others=()))
    assert (orders.table, orders.rows_in_table) == ("us_orders", 1)
    load(warehouse, make_run(tables({"2": (2.0, NEW)}), day=3, generation=2))
    assert orders_in(warehouse) == [("2", 2.0)]


def test_a_table_is_free_for_another_dag_after_the_first_one_has_got_a_prefix(warehouse, make_run):
    """That is the way out that the error names."""
    for day, prefix in enumerate(("", "cn_"), 1):
        run = make_run(tables({"1": (1.0, OLD)}), day=day, generation=day)
        targets = tuple(replace(t, name=prefix + t.name, rows_of=t.name) for t in run.targets)
        load(warehouse, replace(run, targets=targets))
    run = make_run(tables({"2": (2.0, OLD)}), day=3, generation=1)
    load(warehouse, replace(run, manifest=replace(run.manifest, dag_id="other")))
    assert orders_in(warehouse) == [("2", 2.0)]
