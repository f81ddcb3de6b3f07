"""Duplicates in lists of any length: exact and in order."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanfold.workspace import items
from fanfold.workspace.items import find_repeated, json_lines, unique_lines

ANY_TEXT = st.text(st.characters())


@pytest.fixture
def small_blocks(monkeypatch):
    """Read a few lines at a time, and use many shares for a short list."""
    monkeypatch.setattr(items, "BLOCK", 64)
    monkeypatch.setattr(items, "PARTITION", 100)


def deduplicated(folder, texts):
    path = folder / "listed.jsonl"
    path.write_bytes(json_lines(texts))
    repeated = find_repeated(path)
    lines = [line for block in unique_lines(path, repeated) for line in block]
    assert [each.name for each in folder.iterdir()] == [path.name]
    return [json.loads(line) for line in lines], repeated


@given(st.lists(ANY_TEXT))
def test_texts_become_the_lines_that_json_makes_of_them(texts):
    lines = json_lines(texts)
    assert [json.loads(line) for line in lines.decode().split("\n")[:-1]] == texts
    assert lines == b"".join(json_lines([text]) for text in texts)


@pytest.mark.usefixtures("small_blocks")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 150).map(str) | ANY_TEXT, max_size=300))
def test_the_first_of_equal_items_is_kept_and_the_others_are_counted(tmp_path_factory, texts):
    kept, repeated = deduplicated(tmp_path_factory.mktemp("list"), texts)
    assert kept == list(dict.fromkeys(texts))
    assert (repeated.lines, repeated.count) == (len(texts), len(texts) - len(kept))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "numbers",
    [[], [7] * 5000, [*range(2500)] * 2, [n // 2 for n in range(5000)], [*range(5000)]],
    ids=["empty", "all the same", "twice over", "in pairs", "all different"],
)
def test_long_lists_of_any_kind_keep_each_item_once_in_order(tmp_path, numbers):
    texts = [str(number) for number in numbers]
    kept, repeated = deduplicated(tmp_path, texts)
    assert kept == list(dict.fromkeys(texts))
    assert repeated.count == len(texts) - len(kept)


@pytest.mark.usefixtures("small_blocks")
def test_items_with_the_same_hash_are_distinguished(tmp_path, monkeypatch):
    monkeypatch.setattr(items, "hash", lambda _: 7, raising=False)
    texts = [str(number % 700) for number in range(2000)]
    assert deduplicated(tmp_path, texts)[0] == texts[:700]
