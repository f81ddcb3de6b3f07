from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import BadInput
from fanfold.stages.planning import MOST_BATCHES, batch_refs, batch_size_for, write_plan
from fanfold.workspace.files import read_jsonl, write_jsonl
from fanfold.workspace.paths import Workspace


def plan(workspace, items, **changes):
    write_jsonl(workspace.listed, items)
    arguments = {
        "source": "weibo",
        "wanted_size": None,
        "logical_date": "2026-01-01T00:00:00.000Z",
        "started_at": "2026-01-01T00:00:01.000Z",
    }
    return write_plan(workspace, **{**arguments, **changes})


@given(st.lists(st.integers(0, 60).map(str), max_size=200), st.none() | st.integers(1, 50))
def test_every_item_is_planned_once_in_the_order_of_its_first_mention(
    tmp_path_factory, items, size
):
    workspace = Workspace(tmp_path_factory.mktemp("run"))
    made = plan(workspace, items, wanted_size=size)
    planned = [
        key
        for batch in range(made.batches)
        for key in read_jsonl(workspace.batch(batch).items_file)
    ]
    assert planned == list(dict.fromkeys(items))
    assert made.items == len(planned)
    assert made.duplicates == len(items) - len(planned)
    assert sum(ref.items for ref in batch_refs(workspace, made)) == made.items


def test_up_to_32_items_each_is_a_batch_labelled_with_it(tmp_path):
    workspace = Workspace(tmp_path)
    made = plan(workspace, [str(number) for number in range(32)])
    labels = [ref.label for ref in batch_refs(workspace, made)]
    assert labels == [str(number) for number in range(32)]


def test_above_32_items_batches_are_labelled_with_their_positions(tmp_path):
    workspace = Workspace(tmp_path)
    made = plan(workspace, [str(number) for number in range(120)])
    assert [ref.label for ref in batch_refs(workspace, made)] == [
        "items 1–50",
        "items 51–100",
        "items 101–120",
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
