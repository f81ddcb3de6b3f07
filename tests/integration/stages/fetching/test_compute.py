"""Functions of items, run in processes: what each may do, and what it costs."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
import pytest

from fanfold import Compute
from fanfold.errors import BatchIncomplete
from fanfold.model import Status
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.processes import ProcessRunner
from fanfold.workspace.files import write_jsonl
from fanfold.workspace.progress import all_progress

AS_OF = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def compute(workspace):
    """``compute(function, keys, ...)``: run a function for the items of a batch."""

    def compute(function, keys, **fields):
        write_jsonl(workspace.batch(0).items_file, keys)
        source = Compute(function, **{"processes": 2, **fields})
        runner = partial(ProcessRunner, source, as_of=AS_OF)
        return fetch_batch(workspace.batch(0), runner, version="0000000a")

    return compute


@pytest.fixture
def reasons(workspace, compute):
    """``reasons(function, keys, ...)``: the reasons of the items that fail; all others are ok."""

    def reasons(function, keys, **fields):
        with pytest.raises(BatchIncomplete):
            compute(function, keys, **fields)
        outcomes = workspace.batch(0).outcomes()
        assert set(outcomes) == set(keys)
        failed = {key: each for key, each in outcomes.items() if each.status is not Status.OK}
        assert {each.status for each in failed.values()} == {Status.FAILED}
        return {key: each.reason for key, each in failed.items()}

    return reasons


def test_each_item_is_computed_once_in_other_processes(compute, workspace, records_of):
    """The function is a closure: it needs no pickling. A second fetch computes nothing."""
    factor = 3
    keys = [str(number) for number in range(2000)]

    def triple(item, as_of):
        return {"n": int(item.key) * factor, "day": as_of.day, "process": os.getpid()}

    result = compute(triple, keys)
    assert (result.count(Status.OK), result.requests) == (2000, 0)
    records = {key: record for key, (record,) in records_of(workspace).items()}
    assert {key: record["n"] for key, record in records.items()} == {k: int(k) * 3 for k in keys}
    assert {record["day"] for record in records.values()} == {1}
    assert os.getpid() not in {record["process"] for record in records.values()}
    parts = workspace.batch(0).part_names()
    assert len(parts) >= 3
    compute(triple, keys)
    assert workspace.batch(0).part_names() == parts
    assert all_progress(workspace)[0].ok == 2000


def test_a_function_yields_no_record_or_many_of_json_types(compute, workspace, records_of):
    def records(item):
        yield from range(int(item.key))
        if item.key == "3":
            yield {
                "at": pd.Timestamp("2026-08-01", tz="UTC"), "day": date(2026, 8, 1),
                "price": Decimal("1.10"), "n": np.int64(7), "x": np.float32(0.5),
                "flag": np.bool_(1), "list": np.array([1, 2]), "none": pd.NaT, "t": (1,),
                "moment": np.datetime64("2026-08-01T00:00:00.000000001"),
            }  # fmt: skip

    compute(records, ["0", "3"])
    expected = {
        "at": "2026-08-01T00:00:00+00:00", "day": "2026-08-01", "price": "1.10", "n": 7, "x": 0.5,
        "flag": True, "list": [1, 2], "none": None, "t": [1],
        "moment": "2026-08-01T00:00:00.000000001",
    }  # fmt: skip
    assert records_of(workspace) == {"3": [0, 1, 2, expected]}
    assert workspace.batch(0).outcomes()["0"].status is Status.OK


def test_an_exception_fails_its_item_with_the_line_of_the_author(reasons):
    def fail(item):
        if item.key == "bad":
            return int("many")
        if item.key == "late":
            return (int(each) for each in ["1", "x"])
        if item.key == "exit":
            sys.exit("bye")
        return {}

    line = fail.__code__.co_firstlineno + 2
    assert reasons(fail, ["a", "bad", "b", "late", "exit", "c"]) == {
        "bad": f"ValueError: invalid literal for int() with base 10: 'many' (test_compute.py:{line})",
        "late": f"ValueError: invalid literal for int() with base 10: 'x' (test_compute.py:{line + 2})",
        "exit": f"SystemExit: bye (test_compute.py:{line + 4})",
    }


def test_a_result_that_is_not_json_says_what_is(reasons):
    results = {
        "none": None,
        "text": "x",
        "nan": {"x": float("nan")},
        "set": [{"x": {1}}],
        "frame": pd.DataFrame({"a": [1]}),
    }
    said = reasons(lambda item: results[item.key], [*results])
    assert set(said) == set(results)
    assert "it returned None; it must return a record (a dict)" in said["none"]
    assert "type str" in said["text"]
    assert "NaN or Infinity" in said["nan"]
    assert "type set cannot be written" in said["set"]
    assert "use .to_dict('records')" in said["frame"]


def test_a_function_that_takes_too_long_is_killed_and_the_others_have_all_their_time(reasons):
    """A cheap start makes chunks of many items."""

    def slow(item):
        if item.key == "slow":
            time.sleep(60)
        return {}

    keys = [str(number) for number in range(300)]
    keys.insert(250, "slow")
    start = time.monotonic()
    said = reasons(slow, keys, time_limit=0.5)
    assert said == {"slow": "the function took longer than 0.5 s; its process was killed"}
    assert time.monotonic() - start < 20


def test_a_process_that_dies_fails_only_its_item(reasons):
    ways = {
        "crash": lambda: (faulthandler.disable(), ctypes.string_at(0)),
        "exit": lambda: os._exit(3),
        "memory": lambda: os.kill(os.getpid(), signal.SIGKILL),
    }
    keys = [str(number) for number in range(100)]
    keys[60:60] = list(ways)

    def die(item):
        ways.get(item.key, int)()
        return {}

    assert reasons(die, keys, time_limit=30) == {
        "crash": "the process of the function died (SIGSEGV)",
        "exit": "the process of the function died (exit code 3)",
        "memory": "the process of the function died (SIGKILL, perhaps out of memory)",
    }
