"""Names and keys from outside are shown as one line of text, whatever is in them."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from fanfold.stages.reporting.sanitising import isolated, plain, visible, width

ANY = st.text(st.characters(codec=None) | st.sampled_from("\u200b\u202e\0\n\ud800 é中"))


@given(ANY, st.integers(1, 60))
def test_a_name_has_no_character_that_acts(text, limit):
    shown = plain(text, limit)
    kinds = {unicodedata.category(char) for char in shown if char not in "\u200c\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert width(shown) <= limit
    assert len(shown) <= 4 * limit + 1


@given(ANY)
def test_a_key_shows_what_cannot_be_seen(text):
    shown = visible(text, 1000)
    assert shown.isprintable()
    assert bool(shown) == bool(text)


def test_invisible_characters_of_a_key_are_named():
    assert visible("a\u200bb\n\ud800") == "a\\u200bb\\u000a\\ud800"


def test_an_invisible_name_is_empty():
    names = ["\u200b\u200b", "\u3164\u3164", "\u200d", " \u3000\t", "\u202e\u202c", ""]
    assert [name for name in names if plain(name)] == []


def test_piled_up_marks_do_not_cover_other_lines():
    assert plain("e" + "\u0301" * 30, 10) == "e\u0301\u0301"


def test_only_a_name_from_right_to_left_is_isolated():
    assert isolated("عمر") == "\u2068عمر\u2069"
    assert isolated("小明") == "小明"


def test_emoji_and_shaped_scripts_keep_their_joiners():
    assert plain("👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"
