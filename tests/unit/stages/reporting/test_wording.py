"""Every value of the data has its texts, and numbers read as people write them."""

from fanfold.model import RunStatus, Status
from fanfold.simulator.provinces import PROVINCES
from fanfold.stages.processing.contract import VERIFIED_TYPES
from fanfold.stages.reporting.aggregates import RECENCY_DAYS
from fanfold.stages.reporting.wording import (
    day,
    duration,
    lasting,
    number,
    percent,
    rate,
    say,
    short,
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


def test_short_numbers_use_the_units_of_each_language():
    shown = {
        0: ("0", "0"),
        7.0: ("7", "7"),
        0.001: ("0.001", "0.001"),
        999: ("999", "999"),
        1_500: ("1.5k", "1,500"),
        12_345: ("12.3k", "1.23万"),
        999_999: ("1M", "100万"),
        24_067_112: ("24.1M", "2410万"),
        123_456_789: ("123M", "1.23亿"),
        10**12: ("1T", "1万亿"),
    }
    assert {value: short(value) for value in shown} == shown


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


def test_numbers_keep_what_matters():
    assert number(1234.5).en == "1,234"
    assert number(0.5).en == "0.5"
    assert number(2.25).en == "2.25"
    assert rate(0.2014).en == "0.2"
    assert rate(14.6).en == "15"
    assert number(0.00001234).en == "1.2e-05"


def test_moments_and_durations():
    assert day("2026-03-01T08:05:00.000+08:00").en == "2026-03-01 00:05 UTC"
    assert day("no date").en == "no date"
    assert duration("2026-03-01T00:00:00Z", "2026-03-01T01:02:03Z").en == "1 h 2 min"
    assert duration("2026-03-01T00:00:00Z", "").en == "–"
    assert lasting(0.24) == ("0.2 s", "0.2 秒")
    assert lasting(59.7).en == "1 min 0 s"
    assert lasting(61) == ("1 min 1 s", "1 分 1 秒")
