"""Failures are grouped by reason, without keeping the list."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import Inconsistent
from fanfold.loader import load_pipeline, pipeline_names
from fanfold.messages import ENGINE, Catalogue, Message
from fanfold.model import Outcome, Status
from fanfold.workspace.failure_groups import (
    OF_ITEM,
    OF_TEXT,
    FailureGroups,
    Group,
    merge_groups,
    read_groups,
    write_groups,
)


def groups(outcomes, kept=500, **options):
    found = FailureGroups(kept)
    for outcome in outcomes:
        found.add(outcome)
    return found.groups(**options)


def failed(key, reason="busy", status=Status.FAILED, **fields):
    return Outcome(str(key), status, reason, **{"attempts": 3, **fields})


def test_one_reason_for_many_items_is_one_group():
    gone = Message("404: no such user", "x.gone", {"code": 404})
    missing = [Outcome.of(str(key), Status.MISSING, gone, attempts=3) for key in range(100, 110)]
    first, second = groups([*missing, failed(7, attempts=5)])
    assert (first.status, first.reason, first.count) == (Status.FAILED, "busy", 1)
    assert (second.message, second.count, second.attempts) == (gone, 10, 30)
    assert [key for key, _ in second.examples] == ["100", "101", "102"]


CAUSES = {
    "at", "code", "column", "compression", "connection", "dag", "encoding", "host", "how", "limit",
    "loaded", "lost", "missing", "n", "name", "needs", "newest", "of", "own", "percentage", "reason", "reasons", "records",
    "rows", "rule", "run", "share", "runs", "seconds", "status", "table", "tables", "type", "url", "version", "where", "why", "key",
}  # fmt: skip
MESSAGES = Catalogue(
    ENGINE.texts,
    *(load_pipeline(name).pipeline.source.messages for name in pipeline_names()),
)


def message_of(id_, number, key, change=0):
    """The message of an item whose cause is the same as of the others, unless there is a change."""
    text = str(MESSAGES.texts[id_][0])
    params = dict.fromkeys(re.findall(r"\{(\w+)\}", text.replace("'other': ", "")))
    for name in params:
        own = name == "path" or name in OF_ITEM
        # Of a source's own messages only the key is looked for in the text.
        value = f"/v1/{key}/{number:05}" if id_ in ENGINE.texts else f"/v1/{key}"
        params[name] = value if own else f"cause {'ab'[change]}"
        if name in OF_TEXT:
            params[name] += f" of '{key}' at {number:05}"
    return MESSAGES.message(id_, **params)


def test_many_items_with_one_cause_are_one_group_without_their_keys():
    keys = [f"user-{'x' * (number % 7)}{number:05}/é" for number in range(40)]
    for id_ in MESSAGES.texts:
        outcomes = [
            Outcome.of(key, Status.FAILED, message_of(id_, number, quote(key, safe="")))
            for number, key in enumerate(keys)
        ]
        (group,) = groups(outcomes)
        assert group.count == len(keys), id_
        assert not re.search(r"user-|\d{5}", f"{group.reason} {group.reason_params}"), id_
        # What is written and read again, as of two batches, is the same group.
        halves = [groups(half)[0].as_json() for half in (outcomes[:20], outcomes[20:])]
        (merged,) = merge_groups(json.loads(json.dumps(halves)))
        assert (merged.id, merged.reason) == (group.id, group.reason)
        assert all(Group.of(outcome).id == group.id for outcome in outcomes)
        if not (group.reason_params or {}).keys() <= OF_ITEM:
            other = Outcome.of("k", Status.FAILED, message_of(id_, 0, "another key", change=1))
            assert len(groups([*outcomes, other])) == 2, id_


def test_each_parameter_of_a_message_is_of_an_item_or_a_cause():
    params = set(re.findall(r"\{(\w+)\}", str([text[0] for text in MESSAGES.texts.values()])))
    assert params <= OF_ITEM | OF_TEXT | CAUSES
    assert not CAUSES & (OF_ITEM | OF_TEXT)


def test_a_text_without_an_id_is_grouped_without_the_key():
    keys = [f"K{number:05}" for number in range(1000)]
    (group,) = groups(failed(key, f"there is no {key}, see /{key}") for key in keys)
    assert group.reason == "there is no …, see /…"
    assert len(groups([failed("404", "HTTP 404"), failed("500", "HTTP 500")])) == 2


def test_what_breaks_the_contract_is_grouped_by_column_and_rule():
    def invalid(key, value, rule):
        return failed(key, "why", Status.INVALID, column="name", value=value, rule=rule)

    rows = (1, "a", "short"), (2, "b", "short"), (3, "b", "good")
    first, second = groups([invalid(*row) for row in rows])
    assert (first.column, first.rule, first.count) == ("name", "short", 2)
    assert first.examples == [("1", "a"), ("2", "b")]
    assert second.count == 1


@pytest.mark.parametrize("limit", [{"kept": 10}, {"shown": 10}])
def test_further_reasons_are_counted_together(limit):
    found = groups([failed(key, f"unique {'x' * key}") for key in range(90)], **limit)
    assert len(found) == 11
    assert (found[-1].reason, found[-1].count) == ("", 80)


def test_failures_come_before_answers_and_the_frequent_first():
    often = [failed(key, "often") for key in range(3, 6)]
    others = [
        failed(1, "gone", Status.MISSING),
        failed(2, "rare"),
        failed(7, "", Status.INVALID, column="a", rule="b"),
    ]
    found = [(group.status, group.reason) for group in groups([*others, *often])]
    assert found == [("failed", "often"), ("failed", "rare"), ("invalid", ""), ("missing", "gone")]


def test_the_groups_of_a_run_are_read_with_at_most_some_reasons(tmp_path):
    path = tmp_path / "failures.json"
    found = groups([failed(key, f"reason {key % 5}") for key in range(50)])
    rows = groups([failed(1, "", Status.INVALID, column="a", rule="b")])
    write_groups(path, found, rows)
    assert read_groups(path) == found
    assert read_groups(path, of="rows") == rows
    assert [group.count for group in read_groups(path, shown=2)] == [10, 10, 30]


@pytest.mark.parametrize("content", [None, "{", "{}", '{"items": [{"status": "lost"}]}'])
def test_a_file_that_holds_no_groups_is_named(tmp_path, content):
    path = tmp_path / "failures.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Inconsistent, match=r"failures\.json"):
        read_groups(path)


OUTCOMES = st.builds(
    Outcome,
    key=st.text(min_size=1, max_size=3),
    status=st.sampled_from([Status.FAILED, Status.MISSING]),
    reason=st.sampled_from(["busy", "gone", "away", "–"]),
    attempts=st.integers(0, 9),
)


@given(st.lists(OUTCOMES), st.lists(OUTCOMES))
def test_groups_of_two_batches_add_up_to_the_groups_of_both(first, second):
    def counts(found):
        return {group.id: (group.count, group.attempts) for group in found}

    written = [group.as_json() for part in (first, second) for group in groups(part)]
    assert counts(merge_groups(json.loads(json.dumps(written)))) == counts(groups(first + second))


def test_a_group_keeps_its_id_and_a_similar_one_has_another():
    group = Group(Status.INVALID, "", "name", "short")
    assert Group.from_json(json.loads(json.dumps(group.as_json()))).id == group.id
    others = ("failed", "", "name", "short"), ("invalid", "", "name", "long"), ("invalid", "")
    made = [Group(Status(status), *rest) for status, *rest in (*others, ("invalid", "name short"))]
    assert len({group.id, *(other.id for other in made)}) == 5
