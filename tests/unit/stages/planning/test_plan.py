from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera import pandas as pa

from fanfold import Api, Compute, Files, Fold, Pages, Pipeline
from fanfold.errors import BadInput
from fanfold.model import KeyForm
from fanfold.stages.planning import (
    MOST_BATCHES,
    batch_refs,
    batch_size_for,
    summary,
    write_plan,
)
from fanfold.workspace.files import read_json, write_json, write_jsonl
from fanfold.workspace.paths import Workspace


class Reading(pa.DataFrameModel):
    station: str
    at: str


PIPELINE = Pipeline(
    name="readings",
    noun=("station", "气象站"),
    source=Api(path="/stations/{key}"),
    contract=Reading,
    key=("station", "at"),
    item_column="station",
    folds=[Fold("monthly", key=("station",), sql="FROM dataset")],
    key_form=KeyForm(lower=True),
    label="station",
)


def plan(workspace, items, *, pipeline=PIPELINE, attributes=None, **changes):
    write_jsonl(workspace.listed, items)
    workspace.listed_attributes.unlink(missing_ok=True)
    if attributes is not None:
        write_jsonl(workspace.listed_attributes, attributes)
    arguments = {
        "wanted_size": None,
        "logical_date": "2026-01-01T00:00:00.000Z",
        "started_at": "2026-01-01T00:00:01.000Z",
    }
    return write_plan(workspace, pipeline, **{**arguments, **changes})


def planned(workspace, made):
    return [item for batch in range(made.batches) for item in workspace.batch(batch).items()]


@given(st.lists(st.integers(0, 60).map(str), max_size=200), st.none() | st.integers(1, 50))
def test_every_item_is_planned_once_in_the_order_of_its_first_mention(
    tmp_path_factory, items, size
):
    workspace = Workspace(tmp_path_factory.mktemp("run"))
    made = plan(workspace, items, wanted_size=size)
    found = [item.key for item in planned(workspace, made)]
    assert found == list(dict.fromkeys(items))
    assert made.items == len(found)
    assert made.duplicates == len(items) - len(found)
    assert sum(ref.items for ref in batch_refs(workspace, made)) == made.items


def test_up_to_32_items_each_is_a_batch_labelled_with_it(tmp_path):
    workspace = Workspace(tmp_path)
    made = plan(workspace, [str(number) for number in range(32)])
    labels = [ref.label for ref in batch_refs(workspace, made)]
    assert labels == [str(number) for number in range(32)]


def test_above_32_items_batches_are_labelled_with_their_positions(tmp_path):
    workspace = Workspace(tmp_path)
    made = plan(workspace, [str(number) for number in range(101)])
    assert [ref.label for ref in batch_refs(workspace, made)] == [
        "items 1–50",
        "items 51–100",
        "item 101",
    ]


@given(st.integers(1, 50_000_000))
def test_batches_stay_below_the_map_limit_whatever_the_size(items):
    assert math.ceil(items / batch_size_for(items)) <= MOST_BATCHES


def test_a_batch_size_that_makes_too_many_batches_is_refused_with_the_least_that_works():
    with pytest.raises(BadInput, match="Set it to 12 or more"):
        batch_size_for(10_000, 1)
    assert batch_size_for(10_000, 12) == 12


def test_a_run_that_is_planned_again_keeps_its_start(tmp_path):
    workspace = Workspace(tmp_path)
    plan(workspace, ["1"])
    again = plan(workspace, ["1"], started_at="2026-02-02T00:00:00.000Z")
    assert again.started_at == "2026-01-01T00:00:01.000Z"


@given(
    st.lists(st.tuples(st.integers(0, 40).map(str), st.integers(0, 2)), max_size=150),
    st.none() | st.integers(1, 50),
)
def test_of_equal_keys_the_first_one_is_planned_with_its_attributes(tmp_path_factory, pairs, size):
    workspace = Workspace(tmp_path_factory.mktemp("run"))
    attributes = [{"a": value} for _, value in pairs]
    made = plan(workspace, [key for key, _ in pairs], attributes=attributes, wanted_size=size)
    found = [(item.key, item.attributes["a"]) for item in planned(workspace, made)]
    first = dict(reversed(pairs))
    assert found == [(key, first[key]) for key in dict(pairs)]
    assert made.conflicts == len(set(pairs)) - len(found)


def test_duplicates_with_other_attributes_are_counted_in_the_log(tmp_path):
    workspace = Workspace(tmp_path)
    attributes = [{"a": 1}, {"a": 2}, {"a": 1}, {}]
    made = plan(workspace, ["x", "x", "x", "y"], attributes=attributes)
    assert "2 duplicates removed, with 1 other sets of attributes" in summary(made)
    assert {path.name for path in workspace.listed.parent.iterdir()} == {
        *("keys.db", "listed.jsonl", "listed.attributes.jsonl"),
        *("00000.jsonl", "00000.attributes.jsonl", "00001.jsonl", "00001.attributes.jsonl"),
    }


def test_a_plan_without_attributes_removes_those_of_the_plan_before(tmp_path):
    workspace = Workspace(tmp_path)
    made = plan(workspace, ["x"], attributes=[{"a": 1}])
    assert planned(workspace, made)[0].attributes == {"a": 1}
    assert planned(workspace, plan(workspace, ["x"]))[0].attributes == {}


def test_the_plan_has_what_the_run_page_needs_of_the_pipeline(tmp_path):
    workspace = Workspace(tmp_path)
    plan(workspace, ["x"])
    facts = {
        "pipeline": "readings",
        "noun": ["station", "气象站"],
        "dataset": "readings",
        "row_key": ["station", "at"],
        "folds": ["monthly"],
        "key_column": "station",
        "key_form": {"leading": "", "lower": True},
        "label": "station",
        "measure": "",
    }
    written = read_json(workspace.plan)
    assert {name: written[name] for name in facts} == facts
    plan(workspace, ["x"], pipeline=replace(PIPELINE, item_column="item", noun="station"))
    written = read_json(workspace.plan)
    assert written["key_column"] is None
    assert written["noun"] == ["station", "station"]


def test_a_thousand_items_are_eight_batches():
    """A mapped task takes about 0.5 s: more of them would cost more than cheap items."""
    assert batch_size_for(1000) == 125


def test_a_computed_pipeline_is_forecast_by_its_items(tmp_path):
    workspace = Workspace(tmp_path / "run")
    computed = replace(PIPELINE, source=Compute(function=len))
    past = {"run_id": "a", "requests": 0, "seconds": 30.0, "fetching": 30.0}
    assert plan(workspace, ["x"], pipeline=computed).forecast.seconds is None
    write_json(workspace.history, [{**past, "counts": {"planned": 50, "ok": 50}}])
    made = plan(workspace, [str(number) for number in range(100)], pipeline=computed)
    assert (made.forecast.requests, made.forecast.seconds) == (0, pytest.approx((27, 66)))
    assert "requests" not in summary(made)
    assert "25 s – 1 min 30 s (by earlier runs)" in summary(made)


def test_the_pages_of_an_item_are_forecast_as_in_the_latest_run(tmp_path):
    """Of a source without pages, more requests than items are retries."""
    workspace = Workspace(tmp_path / "run")
    paged = replace(PIPELINE, source=Api(path="/stations/{key}", pages=Pages(link="next")))
    assert plan(workspace, ["x", "y"], pipeline=paged).forecast.requests == 2
    past = {"run_id": "a", "requests": 47, "seconds": 30.0, "counts": {"planned": 10, "ok": 10}}
    write_json(workspace.history, [past])
    made = plan(workspace, ["x", "y"], pipeline=paged)
    assert (made.requests_per_item, made.forecast.requests) == (5, 10)
    assert plan(workspace, ["x", "y"]).forecast.requests == 2


def test_files_are_planned_and_forecast_by_their_bytes(tmp_path):
    workspace = Workspace(tmp_path / "run")
    files = replace(PIPELINE, source=Files())
    keys = [f"s3://b/{number:03}.csv" for number in range(100)]
    sizes = [{"size": 200_000_000 if number == 50 else 1_000} for number in range(100)]
    past = {"run_id": "a", "seconds": 30.0, "fetching": 30.0, "bytes": 100_000_000}
    write_json(
        workspace.history, [{"requests": 100, "counts": {"planned": 100, "ok": 100}, **past}]
    )
    made = plan(workspace, [*keys, keys[0]], pipeline=files, attributes=[*sizes, sizes[0]])
    assert made.starts == (0, 50, 51)
    assert [item.key for item in planned(workspace, made)] == keys
    assert [item.attributes["size"] for item in workspace.batch(1).items()] == [200_000_000]
    assert made.bytes == 200_099_000
    assert made.forecast.seconds == pytest.approx((27, 66), rel=0.01)
    assert "100 items, 200.1 MB" in summary(made)
