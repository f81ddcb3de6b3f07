"""Numbers read the same wherever a person meets them."""

import pytest

from fanfold import formats

DURATIONS = {
    0.44: ("0.4 s", "0.4 秒"),
    9.97: ("10 s", "10 秒"),
    59.7: ("1 min", "1 分"),
    125: ("2 min 5 s", "2 分 5 秒"),
    3605: ("1 h", "1 小时"),
    90061: ("1 d 1 h", "1 天 1 小时"),
}
RANGES = {
    (0.5, 4): "<5 s",
    (26, 38): "25 s – 40 s",
    (60, 60): "1 min",
    (61, 140): "1 min – 2 min 30 s",
    (27, 66): "25 s – 1 min 30 s",
    (1000, 4000): "16 min – 1 h 10 min",
}


def test_a_duration_has_its_two_largest_units():
    for seconds, texts in DURATIONS.items():
        assert (formats.duration(seconds), formats.duration(seconds, "zh")) == texts


def test_an_estimate_is_a_coarse_range():
    assert {each: formats.duration_range(*each) for each in RANGES} == RANGES


@pytest.mark.parametrize(
    ("number", "text"), [(12, "12 B"), (999, "999 B"), (1000, "1.0 kB"), (999_990, "1.0 MB")]
)
def test_a_size_is_in_the_unit_with_one_to_three_digits(number, text):
    assert formats.size(number) == text


def test_text_from_outside_is_no_markup_in_markdown():
    """ASCII punctuation with a backslash is itself; without it there is no link, picture or heading."""
    hostile = "# x\n\n![x](http://127.0.0.1/a.png) <b>`_*"
    expected = r"\# x \!\[x\]\(http\:\/\/127\.0\.0\.1\/a\.png\) \<b\>\`\_\*"
    assert formats.markdown(hostile) == expected
