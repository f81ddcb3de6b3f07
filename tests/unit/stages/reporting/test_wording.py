"""Every value of the data has its texts, and numbers read as people write them."""

from fanfold.model import RunStatus, Status
from fanfold.stages.reporting.wording import percent, say, short


def test_every_value_of_the_data_has_its_words():
    keys = [
        *Status,
        *(f"{status}.means" for status in Status),
        *(f"status.{status}" for status in RunStatus),
    ]
    assert [key for key in keys if not say(key).en] == []


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


def test_a_short_number_has_the_units_of_its_language():
    shown = {
        1_234: ("1.23K", "1,230"),
        999_999: ("1M", "100万"),
        -1_250_000: ("-1.25M", "-125万"),
        123_456_789: ("123M", "1.23亿"),
        0.1234: ("0.123", "0.123"),
    }
    assert {value: short(value) for value in shown} == shown
