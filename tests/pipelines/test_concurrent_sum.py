"""The sum of an array: exact, whatever the slices."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fanfold import testing
from fanfold.errors import BadInput
from pipelines.concurrent_sum import PIPELINE


def sums(*items):
    result = testing.run(PIPELINE, items, charts=False)
    assert set(result.outcomes["status"]) == {"ok"}
    partial = dict(zip(result.rows["item"], result.rows["total"], strict=True))
    (total,) = result.folds["total_sum"].to_dict("records")
    return partial, (total["numbers"], total["total"])


def test_1_to_100_add_up_to_5050():
    _, total = sums(*map(str, range(1, 101)))
    assert total == (100, 5050)


def test_ranges_include_both_ends_and_may_be_negative():
    partial, total = sums("-3-7", "-5", "0-0", " 007 - 9 ", "999999999999999999")
    assert partial == {
        "-3-7": sum(range(-3, 8)),
        "-5": -5,
        "0-0": 0,
        "7-9": 24,
        "999999999999999999": Decimal(10**18 - 1),
    }
    assert total == (17, sum(partial.values()))


def test_ten_million_numbers_in_8_ranges():
    size = 1_250_000
    _, total = sums(*(f"{n * size}-{(n + 1) * size - 1}" for n in range(8)))
    assert total == (10**7, 10**7 * (10**7 - 1) // 2)


@pytest.mark.parametrize("item", ["9-3", "1 2", "1.5", "x", "--1", "1-2-3", "-", "٣", "9" * 19])
def test_what_is_no_number_or_range_is_refused(item):
    with pytest.raises(BadInput, match="integer"):
        testing.run(PIPELINE, ["1", item], charts=False)
