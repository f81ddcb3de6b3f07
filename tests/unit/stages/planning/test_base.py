"""What a merge does with the published dataset."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pandera import pandas as pa

from fanfold import Api, Files, Pipeline
from fanfold.errors import BadInput
from fanfold.model import Counts, Manifest, RunStatus
from fanfold.sources.version import rows_version
from fanfold.stages.planning.base import choose_base
from fanfold.workspace.base import BaseRef


class Order(pa.DataFrameModel):
    order: str


FILES = Pipeline(
    name="orders", noun="file", source=Files(), contract=Order, key=("order",), mode="merge"
)
API = replace(FILES, source=Api(path="/{key}"))


def published(version):
    """The manifest of run ``before``, the fifth of its pipeline."""
    date = "2026-07-02T01:00:00.000Z"
    return Manifest(
        *("orders", "before", date, RunStatus.COMPLETE, Counts(1, 1), (), 1, date, date),
        mode="merge", generation=5, rows_version=version,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "same", "param", "rebuild", "keep"),
    [
        (FILES, True, "auto", False, False),
        (FILES, True, "rebuild", True, False),
        (FILES, False, "auto", True, False),
        (FILES, False, "keep", False, True),
        (API, True, "auto", False, False),
        (API, False, "keep", False, True),
        (API, False, "rebuild", True, False),
    ],
)
def test_rows_of_other_code_are_kept_or_rebuilt_as_the_run_says(source, same, param, rebuild, keep):
    version = rows_version(source) if same else "0000"
    chosen = choose_base(source, published(version), param)
    assert chosen == BaseRef(5, rebuild=rebuild, keep=keep)


def test_rows_of_an_api_made_by_other_code_stop_the_run_with_both_ways_out():
    with pytest.raises(BadInput, match=r"run 'before'.*earlier_rows=keep.*earlier_rows=rebuild"):
        choose_base(API, published("0000"), "auto")


@pytest.mark.parametrize("param", ["auto", "keep", "rebuild"])
def test_the_first_run_has_no_base(param):
    assert choose_base(API, None, param) == BaseRef()
