"""The section *files* compares programs that do the same."""

import sys
from pathlib import Path

import duckdb

import pipelines
from fanfold import testing
from fanfold.loader import load_pipeline

CONTENDERS = Path(__file__).resolve().parents[3] / "bench" / "contenders"
GOOD = {
    "l_orderkey": "1",
    "l_partkey": "2",
    "l_suppkey": "3",
    "l_linenumber": "1",
    "l_quantity": "17",
    "l_extendedprice": "100.5",
    "l_discount": "0.04",
    "l_tax": "0.02",
    "l_returnflag": "N",
    "l_linestatus": "O",
    "l_shipdate": "1996-03-13",
    "l_commitdate": "1996-02-12",
    "l_receiptdate": "1996-03-22",
    "l_shipinstruct": "NONE",
    "l_shipmode": "AIR",
    "l_comment": "fluffily",
}
LINES = [
    GOOD,
    GOOD | {"l_linenumber": "2", "l_returnflag": "R", "l_discount": "0.1"},
    GOOD | {"l_quantity": "51"},
    GOOD | {"l_linenumber": "0"},
    GOOD | {"l_extendedprice": "-1"},
    GOOD | {"l_discount": "0.11"},
    GOOD | {"l_tax": "0.09"},
    GOOD | {"l_returnflag": "X"},
    GOOD | {"l_linestatus": "X"},
    GOOD | {"l_shipdate": ""},
    GOOD | {"l_partkey": ""},
]


def test_the_contract_in_sql_and_the_pipeline_keep_the_same_lines(monkeypatch, tmp_path):
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(CONTENDERS)])
    monkeypatch.syspath_prepend(str(CONTENDERS))
    file = tmp_path / "lines.csv"
    file.write_text("\n".join(map(",".join, [GOOD, *(line.values() for line in LINES)])) + "\n")
    ours = testing.run(load_pipeline("lineitem").pipeline, [str(file)])

    import order_lines

    read = f"read_csv('{file}', header = true, columns = {order_lines.COLUMNS})"
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW dataset AS FROM {read} WHERE {order_lines.CONTRACT}")
        kept = connection.execute("SELECT l_linenumber, l_returnflag FROM dataset").fetchall()
        assert kept == [(1, "N"), (2, "R")]
        assert kept == list(
            ours.rows[["l_linenumber", "l_returnflag"]].itertuples(index=False, name=None)
        )
        for name in order_lines.FOLDS:
            fold = connection.execute(order_lines.query(name)).fetchall()
            assert fold == list(
                ours.folds[name].drop(columns="as_of").itertuples(index=False, name=None)
            )
    sys.modules.pop("order_lines")
