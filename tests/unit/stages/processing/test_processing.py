"""Process: no record and no row is lost, a broken value costs one row, and bytes are the same."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.engines import pandas_engine

from fanfold.errors import BadPipeline
from fanfold.loader import Loaded
from fanfold.messages import Message
from fanfold.model import Counts, Item, Outcome, Rejected, Status
from fanfold.pipeline import Pipeline
from fanfold.sources import Compute
from fanfold.stages import processing
from fanfold.stages.processing import process_batch
from fanfold.workspace import batch as batch_module
from fanfold.workspace.batch import ITEM
from fanfold.workspace.files import read_jsonl, write_jsonl
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import read_closed
from fanfold.workspace.stop import write_stop

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


class Line(pa.DataFrameModel):
    name: str = pa.Field(nullable=True, str_length={"max_value": 5})
    number: int = pa.Field(ge=0)


PIPELINE = Pipeline(
    name="lines", noun="order", source=Compute(function=print), contract=Line, key=("number",)
)


def clean(fetched, pipeline=PIPELINE, items=()):
    """Return the rows (item, columns of the contract) and the rejected rows of a batch."""
    with tempfile.TemporaryDirectory() as folder:
        batch = put(Path(folder), [fetched])
        if items:
            write_jsonl(batch.attributes_file, [item.attributes for item in items])
        process_batch(batch, Loaded(pipeline, "code"), as_of=AS_OF)
        rows = pq.read_table(batch.rows_file)
        rejected = [Rejected(**data) for data in read_jsonl(batch.rejected_file)]
    assert rows.schema.names[0] == ITEM
    assert rows.schema.names[-1] == "as_of"
    return [tuple(row.values())[:-1] for row in rows.to_pylist()], rejected


def put(root, parts, keys=None):
    """Write a batch whose fetch wrote one part a mapping of key to records (None: missing)."""
    batch = Workspace(root).batch(0)
    write_jsonl(batch.items_file, keys or dict.fromkeys(key for part in parts for key in part))
    for sequence, part in enumerate(parts, start=1):
        done = [
            (Outcome(key, Status.MISSING if some is None else Status.OK, attempts=2), some)
            for key, some in part.items()
        ]
        batch.write_part(sequence, done)
    return batch


def contents(batch):
    files = (batch.rows_file, batch.failed_file, batch.rejected_file)
    return [path.read_bytes() for path in files]


def lines(*numbers):
    return [{"number": number} for number in numbers]


def test_an_item_with_several_rows_loses_none_and_keeps_their_order(tmp_path):
    batch = put(tmp_path, [{"b": lines(3, 1, 2), "a": lines(5, 4)}], ["a", "b", "c"])
    closed = process_batch(batch, Loaded(PIPELINE, "code"), as_of=AS_OF)
    rows = pq.read_table(batch.rows_file)
    assert rows[ITEM].to_pylist() == list("aabbb")
    assert rows["number"].to_pylist() == [5, 4, 3, 1, 2]
    assert str(rows.schema.field("as_of").type) == "timestamp[us, tz=UTC]"
    assert closed.counts == Counts(planned=3, ok=2, failed=1)
    assert (closed.rows, closed.rejected, closed.requests) == (5, 0, 4)
    assert read_closed(batch, "code").counts == closed.counts
    assert read_closed(batch, "other code") is None
    assert [data["key"] for data in read_jsonl(batch.failed_file)] == ["c"]


def test_items_that_a_rejected_token_stopped_have_its_reason(tmp_path):
    batch = put(tmp_path, [{"a": lines(1)}], ["a", "b"])
    write_stop(Workspace(tmp_path), Message("rejected", "api.token", {"status": 401}), "")
    process_batch(batch, Loaded(PIPELINE, "code"), as_of=AS_OF)
    [failed] = read_jsonl(batch.failed_file)
    assert (failed["key"], failed["reason"], failed["reason_id"]) == ("b", "rejected", "api.token")


def test_rejected_rows_are_written_and_an_item_without_rows_is_invalid(tmp_path):
    batch = put(tmp_path, [{"a": lines(1, -1, 2), "b": lines("x", -3), "c": None, "d": []}])
    closed = process_batch(batch, Loaded(PIPELINE, "code"), as_of=AS_OF)
    check = "greater_than_or_equal_to(0)"
    whole = "is a whole number of 64 bits"
    assert [Rejected(**data) for data in read_jsonl(batch.rejected_file)] == [
        Rejected("a", 2, "number", "-1", check),
        Rejected("b", 1, "number", "x", whole),
        Rejected("b", 2, "number", "-3", check),
    ]
    assert closed.counts == Counts(planned=4, ok=2, missing=1, invalid=1)
    assert (closed.rows, closed.rejected) == (2, 3)
    assert [(group["rule"], group["count"]) for group in closed.rejected_reasons] == [
        (check, 2),
        (whole, 1),
    ]
    outcome = batch.invalid()["b"]
    assert (outcome.column, outcome.value, outcome.rule) == ("number", "x", whole)
    assert outcome.reason_params["rule"] == whole
    assert outcome.attempts == 2


def test_reject_item_rejects_all_rows_of_an_item_with_a_broken_one():
    pipeline = replace(PIPELINE, reject="item")
    rows, rejected = clean({"a": lines(1, -1, 2), "b": lines(3)}, pipeline)
    assert rows == [("b", None, 3)]
    assert [(row.row, row.column) for row in rejected] == [(1, ""), (2, "number"), (3, "")]
    assert rejected[0].rule == processing.ANOTHER_ROW


def test_a_transform_that_raises_costs_the_record_and_names_the_line():
    def double(records):
        return records.assign(number=[int(value) * 2 for value in records["number"]])

    fetched = {str(number): lines(number, number) for number in range(500)}
    fetched["321"] = lines(1, "many")
    rows, [rejected] = clean(fetched, replace(PIPELINE, transform=double))
    assert len(rows) == 999
    assert rows[-1] == ("499", None, 998)
    assert ("321", None, 2) in rows
    line = double.__code__.co_firstlineno + 1
    rule = f"ValueError in test_processing.py:{line}"
    value = "invalid literal for int() with base 10: 'many'"
    assert rejected == Rejected("321", 2, "", value, rule)


def test_a_broken_record_does_not_keep_a_transform_from_comparing_the_others():
    def without_duplicates(records):
        numbers = [int(number) for number in records["number"]]
        return records.assign(number=numbers).drop_duplicates("number")

    for numbers in (("many", 1, 1, 2), (1, 1, 2)):
        rows, rejected = clean(
            {"a": lines(*numbers)}, replace(PIPELINE, transform=without_duplicates)
        )
        assert [row[-1] for row in rows] == [1, 2]
        assert len(rejected) == len(numbers) - 3


def test_a_transform_that_always_raises_is_called_about_once_a_record():
    calls = []

    def broken(records):
        calls.append(len(records))
        return records["no such field"]

    fetched = {str(number): lines(number) for number in range(1000)}
    rows, rejected = clean(fetched, replace(PIPELINE, transform=broken))
    assert not rows
    assert len(rejected) == 1000
    assert len(calls) < 1300


def test_each_yields_the_rows_of_a_record_and_may_ask_for_item_and_date():
    def each(record, item, as_of):
        for step in range(record["number"]):
            yield {"number": step, "name": item.attributes["name"] + f"{as_of:%d}"}
        assert record["number"] < 3

    pipeline = replace(PIPELINE, each=each)
    items = [Item(key, {"name": key * 2}) for key in "abc"]
    rows, [rejected] = clean({"a": lines(2, 0), "b": lines(3), "c": lines(1)}, pipeline, items)
    assert rows == [("a", "aa01", 0), ("a", "aa01", 1), ("c", "cc01", 0)]
    assert (rejected.item, rejected.row) == ("b", 1)
    assert "AssertionError in test_processing.py:" in rejected.rule


def test_a_transform_may_explode_filter_and_ask_for_attributes():
    def explode(records, items, as_of):
        rows = records.explode("number").join(items)
        return rows[rows["number"] < as_of.day + 2]

    fetched = {"a": [{"number": [2, 1, 9]}], "b": [{"number": [9]}]}
    items = [Item("a", {"name": "x"}), Item("b", {"name": "y"})]
    rows, rejected = clean(fetched, replace(PIPELINE, transform=explode), items)
    assert rows == [("a", "x", 2), ("a", "x", 1)]
    assert not rejected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"transform": lambda records: records.reset_index()}, "no reset_index"),
        ({"transform": lambda records: records["number"]}, "must return a DataFrame"),
        ({"each": lambda record: [record["number"]]}, "as dicts"),
        ({"each": lambda _: None}, "as dicts"),
        ({"contract": pa.DataFrameSchema({"as_of": pa.Column(str)})}, "'as_of'"),
        ({"contract": pa.DataFrameSchema({"number": pa.Column(object)})}, "has the type object"),
        ({"key": ("day",)}, "no column 'day'"),
        (
            {
                "contract": pa.DataFrameSchema(
                    {"number": pa.Column(int, pa.Check(lambda s: s.min() > 9))}
                )
            },
            "names no rows",
        ),
    ],
)
def test_a_mistake_of_the_author_is_named(changed, message):
    with pytest.raises(BadPipeline, match=message) as raised:
        clean({"a": lines(1)}, replace(PIPELINE, **changed))
    assert "lines" in str(raised.value)


def test_columns_outside_the_contract_are_dropped_and_missing_ones_are_null():
    contract = pa.DataFrameSchema({"number": pa.Column(int), "day": pa.Column(str, nullable=True)})
    rows, rejected = clean(
        {"a": [{"number": 1, "z": 2}, {"z": 3}]}, replace(PIPELINE, contract=contract)
    )
    assert rows == [("a", 1, None)]
    assert rejected == [Rejected("a", 2, "number", "null", "not_nullable")]


def test_the_column_of_the_items_is_filled_with_their_keys_unless_rows_have_it():
    contract = pa.DataFrameSchema({"order": pa.Column(str), "number": pa.Column(int)})
    pipeline = replace(PIPELINE, contract=contract, item_column="order")
    assert clean({"a": lines(1, 2)}, pipeline)[0] == [("a", "a", 1), ("a", "a", 2)]
    assert clean({"a": [{"number": 1, "order": "A"}]}, pipeline)[0] == [("a", "A", 1)]


def test_checks_of_whole_rows_and_unique_reject_rows():
    class Contract(Line):
        @pa.dataframe_check
        def is_even(cls, rows):  # noqa: N805 - pandera's form
            return rows["number"] % 2 == 0

        class Config:
            unique = ["number"]  # noqa: RUF012 - pandera's form

    rows, rejected = clean(
        {"a": lines(2, 1), "b": lines(4, 2)}, replace(PIPELINE, contract=Contract)
    )
    assert rows == [("a", None, 2), ("b", None, 4)]
    assert rejected == [
        Rejected("a", 2, "", "", "is_even"),
        Rejected("b", 2, "number", "2", "unique"),
    ]


def test_decimals_are_exact_in_parquet(tmp_path):
    money = pa.Column(pandas_engine.Decimal(20, 2))
    pipeline = replace(PIPELINE, contract=pa.DataFrameSchema({"number": money}))
    batch = put(tmp_path, [{"a": lines("123456789012345678.01", 0.1, 7, "1.005")}])
    closed = process_batch(batch, Loaded(pipeline, "code"), as_of=AS_OF)
    assert closed.rejected == 1
    assert pq.read_table(batch.rows_file)["number"].to_pylist() == [
        Decimal("123456789012345678.01"),
        Decimal("0.10"),
        Decimal("7.00"),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def test_each_record_of_any_json_is_a_row_or_rejected():
    """One call checks all, as pandera takes long for any table."""
    records = []

    @given(
        JSON | st.fixed_dictionaries({}, optional={"name": JSON, "number": JSON, "\ud800": JSON})
    )
    def collect(record):
        records.append(record)

    collect()
    rows, rejected = clean({"a": records, "b": [{"number": 1}]})
    assert rows
    assert rejected
    assert len(rows) + len(rejected) == len(records) + 1
    assert sorted({row.row for row in rejected}) == [row.row for row in rejected]


def test_the_same_records_give_the_same_bytes_in_any_parts_and_slices(tmp_path, monkeypatch):
    contract = pa.DataFrameSchema(
        {
            "name": pa.Column(pd.CategoricalDtype(["m", "f"]), nullable=True),
            "number": pa.Column(int, pa.Check.ge(0)),
        }
    )
    pipeline = Loaded(replace(PIPELINE, contract=contract), "code")
    records = {
        str(key): [{"number": key, "name": "fm"[key % 2]}, *lines(key - 7)] for key in range(30)
    }
    keys = list(records)
    whole = put(tmp_path / "whole", [records])
    closed = process_batch(whole, pipeline, as_of=AS_OF)
    monkeypatch.setattr(processing, "SLICE", 5)
    orders = [keys[20:], keys[7:20][::-1], keys[:7]]
    parts = [{"3": lines(-1)}, *({key: records[key] for key in order} for order in orders)]
    sliced = put(tmp_path / "sliced", parts, keys)
    again = process_batch(sliced, pipeline, as_of=AS_OF)
    assert (closed.rows, closed.rejected) == (again.rows, again.rejected) == (53, 7)
    assert contents(whole) == contents(sliced)


def test_a_rejected_integer_is_listed_with_all_its_digits():
    """Also beside a column of floats with a rule."""
    columns = {"number": pa.Column(int, pa.Check.le(5)), "share": pa.Column(float, pa.Check.le(1))}
    pipeline = replace(PIPELINE, contract=pa.DataFrameSchema(columns))
    records = [{"number": 2**53 + 1, "share": 0.5}, {"number": 1, "share": 1.5}]
    _, rejected = clean({"a": records}, pipeline)
    assert [row.value for row in rejected] == ["9007199254740993", "1.5"]


class Texts(pa.DataFrameModel):
    text: str
    kind: pd.CategoricalDtype = pa.Field(dtype_kwargs={"categories": ["even", "odd"]})


def test_long_texts_are_written_in_pieces_in_item_order(tmp_path, monkeypatch):
    """The slices are in fetch order, and smaller."""
    monkeypatch.setattr(processing, "PIECE_BYTES", 100_000)
    monkeypatch.setattr(batch_module, "SLICE_CHARACTERS", 30_000)
    pipeline = replace(PIPELINE, contract=Texts, key=("text",))
    keys = [f"{number:02}" for number in range(50)]
    fetched = [*keys[:20:2], *keys[49:19:-1], *keys[1:20:2]]
    records = {
        key: [{"text": key * 5_000, "kind": ["even", "odd"][int(key) % 2]}] for key in fetched
    }
    some = [dict(list(records.items())[start : start + 7]) for start in range(0, 50, 7)]

    assert (
        process_batch(put(tmp_path, some, keys), Loaded(pipeline, "code"), as_of=AS_OF).rows == 50
    )

    path = Workspace(tmp_path).batch(0).rows_file
    rows = pq.read_table(path)
    assert rows[ITEM].to_pylist() == keys
    assert rows["text"].to_pylist() == [key * 5_000 for key in keys]
    assert rows["kind"].to_pylist() == ["even", "odd"] * 25
    groups = pq.read_metadata(path)
    assert max(groups.row_group(n).num_rows for n in range(groups.num_row_groups)) == 10
