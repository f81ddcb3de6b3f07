"""Failures are grouped by reason, without keeping the list."""

import pytest

from fanfold.errors import Inconsistent
from fanfold.model import Status
from fanfold.reporting import failures as grouping
from fanfold.reporting.failures import SHOWN, group_failures


def test_one_reason_for_many_items_is_one_group(run, failure):
    rows = [failure(str(key), "missing", f"there is no user {key}") for key in range(100, 110)]
    run.write([], [*rows, failure("7", reason="busy since 17", attempts=5)])
    busy, gone = group_failures(run.failed)
    assert (busy.status, busy.reason, busy.count) == (Status.FAILED, "busy since 17", 1)
    assert (gone.reason, gone.count, gone.attempts) == ("there is no user …", 10, 30)
    assert [key for key, _ in gone.examples] == ["100", "101", "102"]


def test_what_breaks_the_contract_is_grouped_by_column_and_rule(run, failure):
    broken = {"status": "invalid", "column": "name", "rule": "short"}
    run.write(
        [],
        [
            failure("1", reason="name: 'a' is long", value="a", **broken),
            failure("2", reason="name: 'b' is long", value="b", **broken),
            failure("3", reason="name: 'b' is bad", value="b", **broken | {"rule": "good"}),
        ],
    )
    first, second = group_failures(run.failed)
    assert (first.column, first.rule, first.count) == ("name", "short", 2)
    assert first.examples == [("1", "a"), ("2", "b")]
    assert second.count == 1


def test_reasons_without_end_are_counted_as_the_rest(run, monkeypatch, failure):
    monkeypatch.setattr(grouping, "_GROUPS_KEPT", 10)
    run.write([], [failure(str(key), reason=f"unique {'x' * key}") for key in range(90)])
    groups = group_failures(run.failed)
    assert len(groups) == 11
    assert groups[-1].reason == ""
    assert sum(group.count for group in groups) == 90


def test_the_page_names_the_most_frequent_reasons(run, failure):
    run.write([], [failure(str(key), reason=f"unique {'x' * key}") for key in range(90)])
    groups = group_failures(run.failed)
    assert len(groups) == SHOWN + 1
    assert (groups[-1].reason, groups[-1].count) == ("", 90 - SHOWN)


def test_failures_come_before_answers_and_the_frequent_first(run, failure):
    run.write(
        [],
        [
            failure("1", "missing", "gone"),
            failure("2", reason="rare"),
            *(failure(str(key), reason="often") for key in range(3, 6)),
            failure("7", "invalid", "", column="a", rule="b"),
        ],
    )
    found = [(group.status, group.reason) for group in group_failures(run.failed)]
    assert found == [("failed", "often"), ("failed", "rare"), ("invalid", ""), ("missing", "gone")]


@pytest.mark.parametrize("content", [None, "{", '{"key": "1"}', '{"key": "1", "status": "lost"}'])
def test_a_file_that_is_no_list_of_outcomes_is_named(tmp_path, content):
    path = tmp_path / "failed.jsonl"
    if content is not None:
        path.write_text(content + "\n")
    with pytest.raises(Inconsistent, match=r"failed\.jsonl.*clear `consolidate`"):
        group_failures(path)
