"""Every value of the data has its texts, and numbers read as people write them."""

from fanfold.model import RunStatus, Status
from fanfold.simulator.provinces import PROVINCES
from fanfold.stages.processing.contract import VERIFIED_TYPES
from fanfold.stages.reporting.aggregates import RECENCY_DAYS
from fanfold.stages.reporting.wording import (
    percent,
    say,
)


def test_every_value_of_the_data_has_its_words():
    keys = [
        *Status,
        *(f"{status}.means" for status in Status),
        *(f"status.{status}" for status in RunStatus),
        *(f"verified.{kind}" for kind in VERIFIED_TYPES),
        *(f"recency.{band}" for band in range(len(RECENCY_DAYS))),
    ]
    assert [key for key in keys if not say(key).en] == []


def test_every_region_of_the_source_has_its_english_name():
    from fanfold.stages.reporting.region_names import REGIONS

    assert set(PROVINCES.values()) <= set(REGIONS)
    assert all(name.isascii() for name in REGIONS.values())
    assert len(set(REGIONS.values())) == len(REGIONS)


def test_a_share_is_never_rounded_to_all_or_nothing():
    shown = {
        (0, 9): "0%",
        (9, 9): "100%",
        (1, 3): "33.3%",
        (1, 10**6): "<0.1%",
        (10**6 - 1, 10**6): ">99.9%",
        (0, 0): "–",
    }
    assert {of: percent(*of).en for of in shown} == shown
