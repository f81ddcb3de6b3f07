"""What charts say and tabulate is what was counted."""

import numpy as np
import pytest

from fanfold.model import Counts
from fanfold.stages.reporting.aggregates import (
    COUNT_EDGES,
    Aggregates,
    Spread,
    aggregate,
)
from fanfold.stages.reporting.chart import Chart, LeftOut
from fanfold.stages.reporting.charts import TOP_REGIONS, charts_of
from fanfold.stages.reporting.spreads import histogram

NAMES = ["outcomes", "recency", "followers", "activity", "years", "verified", "regions", "top"]


@pytest.fixture
def charts(run, users, manifest_of):
    """The charts of 300 users, by name, with what was counted."""
    run.write(users(300))
    data = aggregate(run.dataset)
    made = charts_of(data, manifest_of(300).counts)
    assert [chart.name for chart in made] == NAMES
    return {chart.name: chart for chart in made}, data


def test_each_table_shows_the_bars_of_its_chart(charts):
    for chart in charts[0].values():
        assert len(chart.rows) == len(chart.bars)
        assert {len(row) for row in chart.rows} == {len(chart.header)}
        for bar, row in zip(chart.bars, chart.rows, strict=True):
            assert row[0] == bar.label
            assert f"{bar.value:,}" in [cell.en for cell in row]


def test_the_bars_of_a_chart_add_up_to_all_rows(charts):
    made, data = charts
    for name in ("followers", "years", "verified", "regions", "recency", "activity"):
        assert sum(bar.value for bar in made[name].bars) == data.rows == made[name].whole


def test_regions_beyond_the_first_are_one_bar(charts):
    chart, data = charts[0]["regions"], charts[1]
    names = {name for name in data.regions if name}
    assert chart.bars[TOP_REGIONS].label.en == f"{len(names) - TOP_REGIONS} more regions"
    assert chart.bars[-1].label.en == "Not stated"
    assert [bar.value for bar in chart.bars[:TOP_REGIONS]] == sorted(
        (data.regions[name] for name in names), reverse=True
    )[:TOP_REGIONS]


def test_a_source_without_regions_and_types_leaves_their_charts_out(run, users):
    run.write(users(5, region=None, verified_type=None, gender=None, last_status_at=None))
    made = charts_of(aggregate(run.dataset), Counts(5, 5))
    left_out = {chart.name: chart.why for chart in made if isinstance(chart, LeftOut)}
    assert set(left_out) == {"regions", "verified", "recency"}
    assert left_out["regions"] == (
        "Regions: the source does not provide this.",
        "地区：数据源没有这项数据。",
    )


def test_without_rows_only_the_outcomes_are_left():
    made = charts_of(Aggregates(), Counts(planned=3, missing=3))
    assert [chart.name for chart in made if isinstance(chart, Chart)] == ["outcomes"]
    assert made[0].finding.en == "0 of 3 items are in the dataset (0%)"


def test_bins_of_counts_hold_each_number_once():
    spread = Spread(COUNT_EDGES)
    spread.add(np.arange(0, 1000))
    bars = histogram(spread, whole_numbers=True)
    found = [(bar.label.en, bar.value) for bar in bars[:5]]
    assert found == [("0", 1), ("1 to 2", 2), ("3 to 4", 2), ("5 to 9", 5), ("10 to 21", 12)]
