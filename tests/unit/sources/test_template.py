"""Requests from templates: keys and attributes are data."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fanfold import Api, Call, Item, ItemRefused
from fanfold.errors import BadPipeline
from fanfold.sources.template import rendered

AS_OF = datetime(2026, 8, 1, 5, tzinfo=UTC)


def call(item, **fields):
    return rendered(Api(**fields), item, AS_OF)


def test_names_are_replaced_in_path_query_and_body():
    item = Item("a b", {"station": 7})
    assert call(
        item,
        path="/v1/{station}/{key}",
        query={"day": "{as_of}", "unit": "C"},
        json={"q": ["{{x}} {key}", 3, None], "n": {"at": "{station}"}},
    ) == Call(
        "/v1/7/a%20b",
        {"day": "2026-08-01", "unit": "C"},
        {"q": ["{x} a b", 3, None], "n": {"at": "7"}},
    )


@example(".")
@example("..")
@example("../..")
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_key_stays_one_segment_of_the_path_whatever_it_contains(key):
    if key in {".", ".."}:
        with pytest.raises(ItemRefused, match="path of the request"):
            call(Item(key), path="/users/{key}")
        return
    made = call(Item(key), path="/users/{key}/feed", query={"q": "{key}"})
    _, users, segment, feed = made.path.split("/")
    assert (users, unquote(segment), feed) == ("users", key, "feed")
    assert not set(segment) & set("?#{} ")
    assert made.query == {"q": key}


def test_values_are_not_templates():
    made = call(Item("{secret}{0.__class__}%2e", {"secret": "s"}), path="/", query={"q": "{key}"})
    assert made.query == {"q": "{secret}{0.__class__}%2e"}


@pytest.mark.parametrize(
    "template", ["{id}", "{key.__class__}", "{key!r}", "{}", "{", "a}", "{ key }"]
)
def test_an_unknown_name_is_reported_with_those_that_exist(template):
    with pytest.raises(BadPipeline, match=r"available: \{as_of\}, \{key\}, \{station\}"):
        call(Item("1", {"station": "x"}), path="/x", json=[template])


def test_an_item_without_a_value_or_with_half_a_character_is_refused():
    for item in (Item("1", {"station": None}), Item("1", {"station": "\ud800"})):
        with pytest.raises(ItemRefused):
            call(item, path="/{station}")
