"""Failures are grouped by reason, without keeping the list."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import Inconsistent
from fanfold.model import Outcome, Status
from fanfold.workspace.failure_groups import SHOWN, Group, Reasons, group_failures, merged
from fanfold.workspace.files import write_jsonl


@pytest.fixture
def failed(tmp_path):
    """Write a ``failed.jsonl`` and return its path."""

    def write(lines):
        write_jsonl(tmp_path / "failed.jsonl", lines)
        return tmp_path / "failed.jsonl"

    return write


def failure(key, status="failed", reason="Weibo 10001: the system is busy", **changes):
    return {"key": key, "status": status, "reason": reason, "attempts": 3, "at": ""} | changes


def test_one_reason_for_many_items_is_one_group(failed):
    rows = [failure(str(key), "missing", f"there is no user {key}") for key in range(100, 110)]
    path = failed([*rows, failure("7", reason="busy since 17", attempts=5)])
    busy, gone = group_failures(path)
    assert (busy.status, busy.reason, busy.count) == (Status.FAILED, "busy since 17", 1)
    assert (gone.reason, gone.count, gone.attempts) == ("there is no user …", 10, 30)
    assert [key for key, _ in gone.examples] == ["100", "101", "102"]


def test_invalid_items_are_grouped_by_column_and_rule(failed):
    broken = {"status": "invalid", "column": "name", "rule": "short"}
    path = failed(
        [
            failure("1", reason="name: 'a' is long", value="a", **broken),
            failure("2", reason="name: 'b' is long", value="b", **broken),
            failure("3", reason="name: 'b' is bad", value="b", **broken | {"rule": "good"}),
        ],
    )
    first, second = group_failures(path)
    assert (first.column, first.rule, first.count) == ("name", "short", 2)
    assert first.examples == [("1", "a"), ("2", "b")]
    assert second.count == 1


def test_many_different_reasons_are_counted_as_one_group(failed):
    path = failed([failure(str(key), reason=f"unique {'x' * key}") for key in range(90)])
    groups = group_failures(path, kept=10)
    assert len(groups) == 11
    assert groups[-1].reason == ""
    assert sum(group.count for group in groups) == 90


def test_the_page_names_the_most_frequent_reasons(failed):
    path = failed([failure(str(key), reason=f"unique {'x' * key}") for key in range(90)])
    groups = group_failures(path)
    assert len(groups) == SHOWN + 1
    assert (groups[-1].reason, groups[-1].count) == ("", 90 - SHOWN)


def test_failures_come_before_answers_and_the_frequent_first(failed):
    path = failed(
        [
            failure("1", "missing", "gone"),
            failure("2", reason="rare"),
            *(failure(str(key), reason="often") for key in range(3, 6)),
            failure("7", "invalid", "", column="a", rule="b"),
        ],
    )
    found = [(group.status, group.reason) for group in group_failures(path)]
    assert found == [("failed", "often"), ("failed", "rare"), ("invalid", ""), ("missing", "gone")]


@pytest.mark.parametrize("content", [None, "{", '{"key": "1"}', '{"key": "1", "status": "lost"}'])
def test_a_damaged_list_of_failures_is_named(tmp_path, content):
    path = tmp_path / "failed.jsonl"
    if content is not None:
        path.write_text(content + "\n")
    with pytest.raises(Inconsistent, match=r"failed\.jsonl.*clear `consolidate`"):
        group_failures(path)


OUTCOMES = st.builds(
    Outcome,
    key=st.text(min_size=1, max_size=3),
    status=st.sampled_from([Status.FAILED, Status.MISSING]),
    reason=st.sampled_from(["busy", "gone", "away", "–"]),
    attempts=st.integers(0, 9),
)


@given(st.lists(OUTCOMES), st.lists(OUTCOMES))
def test_groups_of_two_batches_add_up_to_the_groups_of_both(first, second):
    def groups(outcomes):
        reasons = Reasons()
        for outcome in outcomes:
            reasons.add(outcome)
        return reasons.groups()

    def counts(found):
        return {group.id: (group.count, group.attempts) for group in found}

    written = [group.as_json() for part in (first, second) for group in groups(part)]
    assert counts(merged(json.loads(json.dumps(written)))) == counts(groups(first + second))


def test_a_group_keeps_its_id_and_a_similar_one_has_another():
    group = Group(Status.INVALID, "", "name", "short")
    assert Group.from_json(json.loads(json.dumps(group.as_json()))).id == group.id
    others = [
        Group(Status.FAILED, "", "name", "short"),
        Group(Status.INVALID, "", "name", "long"),
        Group(Status.INVALID, "name short"),
        Group(Status.INVALID, ""),
    ]
    assert len({group.id, *(other.id for other in others)}) == 5


@given(
    st.text("ab_é1. ", min_size=1, max_size=3),
    st.text("ab_é1. …", max_size=12),
)
def test_a_key_is_removed_from_a_reason_where_it_is_a_whole_word(key, reason):
    group = Group.of(Outcome(key, Status.FAILED, reason))
    assert group.reason == (re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "…", reason) or "–")
