"""Folds: tables that DuckDB or a function computes from the dataset."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import gzip
import math
import random
import resource
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.errors import BadPipeline, WorkspaceUnavailable
from fanfold.pipeline import Fold
from fanfold.stages.consolidating.folds import table_schemas
from fanfold.stages.consolidating.tables import write_table
from fanfold.workspace import sql

MIDNIGHT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BY_PRODUCT = Fold(
    "by_product",
    key=("product",),
    sql="SELECT product, count(*) AS n, sum(line) AS lines, sum(weight) AS weight, "
    "sum(price) AS revenue FROM dataset GROUP BY ALL",
)


def line(order, number=1, **values):
    return {"order_id": order, "line": number, "price": "1.5", "tags": [], **values}


def table_of(run, fold):
    """The rows of a fold, and whether its CSV file has as many."""
    table = pq.read_table(run.workspace.table(fold))
    with gzip.open(run.workspace.dataset / f"{fold}.csv.gz", "rt", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == table.num_rows
    assert list(lines[0] if lines else table.column_names) == table.column_names
    return table


def test_folds_see_the_dataset_by_both_names_and_the_folds_before_them(orders):
    folds = (
        Fold(
            "per_order",
            ("order_id",),
            "SELECT order_id, sum(price) AS total FROM dataset GROUP BY 1",
        ),
        Fold(
            "shares",
            ("order_id", "line"),
            "SELECT line, l.order_id, price / total AS share FROM order_lines l JOIN per_order USING (order_id)",
        ),
        Fold("last", ("n",), "SELECT count(*) AS n, 'x' AS kind FROM shares WHERE share < 1"),
    )
    run = orders([[line("b", 2), line("b", 1)], "failed", [line("a")]], folds=folds)
    manifest = run.consolidate()
    assert table_of(run, "per_order").to_pylist() == [
        {"order_id": "a", "total": Decimal("1.5"), "as_of": MIDNIGHT},
        {"order_id": "b", "total": Decimal(3), "as_of": MIDNIGHT},
    ]
    rows = table_of(run, "shares").to_pylist()
    assert [(row["order_id"], row["line"], row["share"]) for row in rows] == [
        ("a", 1, 1.0), ("b", 1, 0.5), ("b", 2, 0.5),
    ]  # fmt: skip
    assert table_of(run, "last").column_names == ["n", "kind", "as_of"]
    assert [(entry.key, entry.table, entry.rows) for entry in manifest.files[2:-3]] == [
        ("per_order.parquet", "per_order", 2),
        ("per_order.csv.gz", "per_order", 2),
        ("shares.parquet", "shares", 3),
        ("shares.csv.gz", "shares", 3),
        ("last.parquet", "last", 1),
        ("last.csv.gz", "last", 1),
    ]
    assert not run.workspace.spill.exists()


def test_the_same_rows_give_the_same_bytes_in_any_batches(orders):
    """Sums of floating point depend on their order."""
    draw = random.Random(7)
    fates = [
        [
            line(
                f"o{n}",
                number,
                weight=draw.random() * 10 ** draw.randint(-9, 9),
                product=draw.choice("abc"),
            )
            for number in range(300)
        ]
        for n in range(70)
    ]
    per_order = Fold(
        "per_order",
        ("order_id",),
        "SELECT order_id, avg(weight) AS mean, stddev(weight) AS spread FROM dataset GROUP BY 1",
    )
    contents = []
    for size in (70, 9):
        run = orders(fates, batch_size=size, folds=(BY_PRODUCT, per_order), folder=str(size))
        for _ in range(2):
            run.consolidate()
            files = sorted(run.workspace.dataset.iterdir())
            contents.append({path.name: path.read_bytes() for path in files})
    assert len(contents[0]) == 9
    assert all(each == contents[0] for each in contents)


def test_a_fold_of_no_rows_is_an_empty_table_with_its_columns(orders):
    run = orders(
        [],
        folds=(
            BY_PRODUCT,
            Fold(
                "f",
                ("line",),
                function=lambda found: pa.Table.from_batches(found, run.schema).drop_columns(
                    "as_of"
                ),
            ),
        ),
    )
    run.consolidate()
    table = table_of(run, "by_product")
    assert table.num_rows == 0
    assert [str(field.type) for field in table.schema] == [
        "string", "int64", "decimal128(38, 0)", "double", "decimal128(38, 8)",
        "timestamp[us, tz=UTC]",
    ]  # fmt: skip
    assert table_of(run, "f").num_rows == 0


def test_the_schemas_of_a_run_are_known_before_it_up_to_a_function(orders):
    folds = (
        BY_PRODUCT,
        Fold("per_line", ("line",), "SELECT line, max(revenue) AS most FROM dataset JOIN by_product USING (product) GROUP BY ALL"),
        Fold("total", ("first",), "SELECT min(line) AS first, sum(price) AS price FROM dataset"),
        Fold("f", ("line",), function=pytest.fail),
        Fold("g", ("line",), "FROM f"),
    )  # fmt: skip
    run = orders([[line("a", product="tea", weight=1.5)]], folds=folds[:3])
    run.consolidate()
    pipeline = dataclasses.replace(run.loaded.pipeline, folds=folds)
    schemas = table_schemas(pipeline, run.schema)
    assert list(schemas) == ["order_lines", "by_product", "per_line", "total"]
    for name, schema in schemas.items():
        assert schema.equals(pq.read_schema(run.workspace.table(name)), check_metadata=False)


def test_types_stay_as_they_are_or_become_those_of_parquet(orders):
    values = {
        "1::BIGINT": 1,
        "sum(line)": Decimal(3),
        "12::UHUGEINT": Decimal(12),
        "1.50::DECIMAL(9, 2)": Decimal("1.50"),
        "'NaN'::DOUBLE": math.nan,
        "'-Infinity'::DOUBLE": -math.inf,
        "TIME '12:30'": dt.time(12, 30),
        "DATE '2026-01-02'": dt.date(2026, 1, 2),
        "TIMESTAMP '2026-01-02 03:04:05'": dt.datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001
        "max(as_of)": MIDNIGHT,
        "'b'::ENUM('a', 'b')": "b",
        "'6b2d1c8e-0a3f-4f0e-9d57-1a2b3c4d5e6f'::UUID": "6b2d1c8e-0a3f-4f0e-9d57-1a2b3c4d5e6f",
        "[{'a': 1, 'b': ['x']}]": [{"a": 1, "b": ["x"]}],
        "NULL::VARCHAR": None,
    }
    columns = ", ".join(f"{value} AS c{n}" for n, value in enumerate(values))
    run = orders(
        [[line("a", 1), line("a", 2)]],
        folds=(Fold("f", ("k",), f"SELECT 1 AS k, {columns} FROM dataset"),),
    )
    run.consolidate()
    (row,) = table_of(run, "f").drop_columns(["k", "as_of"]).to_pylist()
    assert math.isnan(row.pop("c4"))
    assert list(row.values()) == [value for value in values.values() if repr(value) != "nan"]


@pytest.mark.parametrize("kind", [pa.table, pd.DataFrame])
def test_a_function_gets_the_batches_of_the_dataset_in_order(orders, kind):
    seen = []

    def function(batches):
        for batch in batches:
            assert isinstance(batch, pa.RecordBatch)
            seen.extend(batch["order_id"].to_pylist())
        return kind({"day": ["b", "a"], "n": [1, 2]})

    run = orders(
        [[line("2"), line("1")], [line("3")]],
        folds=(Fold("f", ("day",), function=function), Fold("g", ("n",), "FROM f SELECT n")),
    )
    run.consolidate()
    assert seen == ["2", "1", "3"]
    assert [(row["day"], row["n"]) for row in table_of(run, "f").to_pylist()] == [
        ("a", 2),
        ("b", 1),
    ]
    assert table_of(run, "g")["n"].to_pylist() == [1, 2]


def test_the_named_index_of_a_frame_is_a_column(orders):
    def function(batches):
        return pa.Table.from_batches(batches).to_pandas().groupby("order_id")[["line"]].sum()

    run = orders(
        [[line("a", 1), line("a", 2)]], folds=(Fold("f", ("order_id",), function=function),)
    )
    run.consolidate()
    assert table_of(run, "f").to_pylist() == [{"order_id": "a", "line": 3, "as_of": MIDNIGHT}]


def broken(batches):
    return {}[next(batches).num_rows]


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ("SELECT order_id AS k, nope FROM dataset", r"Referenced column \"nope\" not found"),
        ("SELEC", "syntax error"),
        ("SELECT CAST(order_id AS INT) AS k FROM dataset", "Could not convert string 'a'"),
        ("SELECT CASE WHEN i = 90000 THEN error('late')::INT ELSE 1 END AS x, i AS k FROM range(100000) t(i)", "late"),
        ("SELECT * EXCLUDE (as_of) FROM dataset", r"its key names 'k', but its result has the columns order_id, line"),
        ("SELECT order_id AS k, as_of FROM dataset", r"has a column 'as_of'.*EXCLUDE"),
        ("SELECT order_id AS k, 1 AS x, 2 AS x FROM dataset", "several columns 'x'"),
        ("SELECT order_id AS k, line FROM dataset", "several rows have k=a"),
        ("SELECT NULL::INT AS k FROM dataset", "must not be null, but there is k=None"),
        ("SELECT 1 AS k, INTERVAL 1 DAY AS x", r"its column 'x' has the type INTERVAL.*CAST"),
        ("SELECT 1 AS k, [INTERVAL 1 DAY] AS x", r"its column 'x' has the type INTERVAL\[\]"),
        ("SELECT 1 AS k, NULL AS x", "its column 'x' has the type"),
        ("SELECT 1 AS k, 340282366920938463463374607431768211455::UHUGEINT AS x", "Conversion Error"),
        ("FROM read_text('/etc/hostname') SELECT content AS k", "Permission Error"),
        ("FROM schema SELECT 1 AS k", "schema does not exist"),
        (broken, r"its function raised KeyError in line \d+ of \S*test_folds.py: 3"),
        (lambda _: [1], "its function returned list; it must return"),
        (lambda _: pa.table({"k": [1, 2, 1]}), "several rows have k=1"),
        (lambda _: pa.table({"x": [1]}), "its key names 'k'"),
    ],
)  # fmt: skip
def test_an_authors_mistake_is_named_and_the_batches_stay_closed(orders, fold, message):
    made = (
        Fold("f", ("k",), sql=fold) if isinstance(fold, str) else Fold("f", ("k",), function=fold)
    )
    run = orders([[line("a", 1), line("a", 2), line("b", 1)]], folds=(made,))
    with pytest.raises(BadPipeline, match=rf"(?s)^Fold 'f' of pipeline 'orders': .*{message}"):
        run.consolidate()
    assert run.closed == 0
    assert not run.workspace.manifest.exists()
    assert not run.workspace.spill.exists()


def test_a_key_of_two_columns_repeats_only_if_both_do(orders):
    fold = Fold("f", ("a", "b"), "SELECT order_id AS a, line AS b FROM dataset")
    run = orders([[line("x", 2), line("x", 1), line("y", 2)]], folds=(fold,))
    run.consolidate()
    assert table_of(run, "f").num_rows == 3
    run = orders([[line("x", 2), line("y", 2), line("x", 2)]], folds=(fold,), folder="again")
    with pytest.raises(BadPipeline, match="several rows have a=x, b=2"):
        run.consolidate()


@pytest.fixture
def small_files():
    """No file of this process may be larger than 100 kB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_the_workspace_and_not_the_author(tmp_path):
    query = "SELECT hash(i) AS k, i::VARCHAR AS x FROM range(1000000) t(i) ORDER BY k"
    with (
        sql.open_tables({}, tmp_path / "spill", memory="8MB") as connection,
        pytest.raises(WorkspaceUnavailable, match=r"^Fold 'f': .*File too large"),
    ):
        for _ in sql.record_batches(connection.sql(query), 1000, "Fold 'f'"):
            pass
    assert list((tmp_path / "spill").iterdir()) == []


def test_a_table_whose_rows_fail_leaves_the_file_before(tmp_path):
    schema = pa.schema([("a", pa.int64())])
    paths = tmp_path / "t.parquet", tmp_path / "t.csv.gz"
    write_table(*paths, schema, [pa.record_batch({"a": [1]})])
    before = [path.read_bytes() for path in paths]

    def rows():
        yield pa.record_batch({"a": [2]})
        raise BadPipeline("late")

    with pytest.raises(BadPipeline):
        write_table(*paths, schema, rows())
    assert [path.read_bytes() for path in paths] == before
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_an_error_in_the_middle_of_a_result_is_the_querys(tmp_path):
    query = "SELECT CASE WHEN i = 90000 THEN error('late')::INT END AS x FROM range(100000) t(i)"
    with sql.open_tables({}, tmp_path) as connection:
        found = sql.record_batches(connection.sql(query), 1000, "Fold 'f'")
        with pytest.raises(BadPipeline, match=r"^Fold 'f': .*late"):
            list(found)
