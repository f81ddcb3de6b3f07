"""The contract: an invalid value costs one row, and every clean row obeys it."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.model import Outcome, Status
from fanfold.sources import mastodon, weibo
from fanfold.stages import processing
from fanfold.stages.processing import clean_rows, process_batch
from fanfold.stages.processing.contract import CONTRACT, SCHEMA
from fanfold.workspace.batch import ITEM
from fanfold.workspace.files import read_jsonl, write_jsonl
from fanfold.workspace.paths import Workspace

AS_OF = pd.Timestamp("2026-01-01", tz="UTC")
GOOD = {
    "id": 1404376560,
    "screen_name": "张伟",
    "name": "张伟",
    "province": "44",
    "gender": "m",
    "verified": False,
    "verified_type": -1,
    "followers_count": 300,
    "friends_count": 100,
    "statuses_count": 731,
    "favourites_count": 1,
    "bi_followers_count": 2,
    "created_at": "Mon Jan 01 08:00:00 +0800 2024",
    "status": {"created_at": "Wed Dec 31 20:00:00 +0800 2025"},
}


def profile(uid, **fields):
    return {**GOOD, "id": uid, **fields}


def clean(records, keys=None):
    keys = keys or [str(record["id"]) for record in records]
    return clean_rows(weibo.SOURCE, keys, records, AS_OF)


def test_a_good_profile_becomes_a_row_with_its_derived_columns():
    rows, broken = clean([profile(1)])
    assert not broken
    row = rows.to_pylist()[0]
    assert row["user_id"] == "1"
    assert row["region"] == "广东"
    assert row["followers_to_friends"] == 3
    assert row["account_age_days"] == 731
    assert row["statuses_per_day"] == 1
    assert row["as_of"] == AS_OF
    assert rows.schema.names == [ITEM, *SCHEMA.names]


def test_derived_columns_of_a_new_account_without_friends_are_zero_or_empty():
    created = "Fri May 01 00:00:00 +0800 2026"  # after the logical date
    rows, broken = clean([profile(1, friends_count=0, created_at=created)])
    assert not broken
    row = rows.to_pylist()[0]
    assert (row["followers_to_friends"], row["account_age_days"]) == (None, 0)


def test_a_broken_value_is_reported_with_column_value_and_rule_and_costs_one_row():
    cases = [
        ({"followers_count": -5}, "followers_count", "-5", "in_range"),
        ({"followers_count": "many"}, "followers_count", "many", "whole number"),
        ({"followers_count": None}, "followers_count", "null", "not_nullable"),
        ({"created_at": "yesterday"}, "created_at", "yesterday", "date"),
        ({"created_at": "Mon Jan 01 08:00:00 +0800 1900"}, "created_at", "1900", "greater_than"),
        ({"screen_name": None}, "screen_name", "null", "not_nullable"),
        ({"screen_name": "x" * 10_000}, "screen_name", "xxx", "str_length"),
        ({"gender": "?"}, "gender", "?", "isin"),
    ]
    bad = [profile(uid, **fields) for uid, (fields, *_) in enumerate(cases, start=2)]
    rows, broken = clean([profile(1), *bad, profile(100)])
    assert rows[ITEM].to_pylist() == ["1", "100"]
    assert list(broken) == list(range(1, len(cases) + 1))
    for problem, (_, column, value, rule) in zip(broken.values(), cases, strict=True):
        assert problem.column == column
        assert value in problem.value
        assert rule in problem.rule


def test_a_profile_of_another_user_is_no_answer():
    rows, broken = clean([profile(7)], keys=["1"])
    assert rows.num_rows == 0
    assert broken[0].column == "user_id"


@pytest.mark.parametrize("source", [weibo.SOURCE, mastodon.SOURCE])
def test_no_records_make_an_empty_table_of_the_same_columns(source):
    rows, broken = clean_rows(source, [], [], AS_OF)
    assert rows.schema.names == [ITEM, *SCHEMA.names]
    assert not broken


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from([*sorted(set(GOOD) - {"id"}), "description", "verified_reason", "url"])


def test_each_record_of_any_json_becomes_a_clean_row_or_a_reason():
    """Each is transformed by itself; one call checks all, as pandera takes long for any table."""
    records = []

    @given(st.dictionaries(FIELDS, JSON, max_size=3))
    def transform(fields):
        record = profile(len(records) + 1, **fields)
        assert len(weibo.transform([record]).frame) == 1
        records.append(record)

    transform()
    rows, broken = clean(records)
    assert rows.num_rows
    assert broken
    assert rows.num_rows + len(broken) == len(records)
    kept = [str(uid + 1) for uid in range(len(records)) if uid not in broken]
    assert rows[ITEM].to_pylist() == kept
    frame = rows.drop_columns(ITEM).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    frame = frame.astype({"gender": "str", "verified_type": "str"})
    CONTRACT.validate(frame, lazy=True)


def put(workspace, batch, sequence_records):
    """Write a batch whose fetch wrote one part a dictionary of key → record."""
    keys = list(dict.fromkeys(key for part in sequence_records for key in part))
    write_jsonl(workspace.batch(batch).items_file, keys)
    for sequence, part in enumerate(sequence_records, start=1):
        done = [
            (Outcome(key, Status.OK if record else Status.MISSING, attempts=1), record)
            for key, record in part.items()
        ]
        workspace.batch(batch).write_part(sequence, done)


def test_processing_twice_writes_the_same_bytes(tmp_path):
    workspace = Workspace(tmp_path)
    put(workspace, 0, [{"1": profile(1), "2": profile(2, followers_count=-1)}, {"3": None}])
    files = (workspace.batch(0).rows_file, workspace.batch(0).invalid_file)
    written = []
    for _ in range(2):
        processed = process_batch(workspace.batch(0), weibo.SOURCE, as_of=AS_OF)
        assert (processed.rows, processed.invalid) == (1, 1)
        written.append([path.read_bytes() for path in files])
    assert written[0] == written[1]


def test_the_latest_record_of_an_item_counts(tmp_path):
    workspace = Workspace(tmp_path)
    put(workspace, 0, [{"1": profile(1, followers_count=-1)}, {"1": profile(1, followers_count=8)}])
    process_batch(workspace.batch(0), weibo.SOURCE, as_of=AS_OF)
    assert workspace.batch(0).invalid() == {}


def test_the_same_records_give_the_same_bytes_in_any_parts_and_slices(tmp_path, monkeypatch):
    records = {str(uid): profile(uid, gender="mf"[uid > 15]) for uid in range(1, 31)}
    records["7"] = profile(7, followers_count=-1)
    records["21"] = profile(21, gender="?")
    whole = Workspace(tmp_path / "whole")
    put(whole, 0, [records])
    process_batch(whole.batch(0), weibo.SOURCE, as_of=AS_OF)

    keys = list(records)
    parts = [keys[20:], keys[7:20][::-1], keys[:7]]
    sliced = Workspace(tmp_path / "sliced")
    put(sliced, 0, [{key: records[key] for key in part} for part in parts])
    write_jsonl(sliced.batch(0).items_file, keys)
    monkeypatch.setattr(processing, "SLICE", 4)
    processed = process_batch(sliced.batch(0), weibo.SOURCE, as_of=AS_OF)

    assert (processed.rows, processed.invalid) == (28, 2)
    assert sliced.batch(0).rows_file.read_bytes() == whole.batch(0).rows_file.read_bytes()
    assert [data["key"] for data in read_jsonl(sliced.batch(0).invalid_file)] == ["7", "21"]


def test_slices_hold_no_more_records_than_asked_for_and_each_ok_item_once(tmp_path):
    workspace = Workspace(tmp_path)
    put(
        workspace,
        0,
        [
            {str(uid): profile(uid, followers_count=1) for uid in range(1, 8)},
            {"3": profile(3, followers_count=2), "8": None, "4": None},
            {"3": profile(3, followers_count=3)},
        ],
    )
    slices = list(workspace.batch(0).fetched(2))
    assert [len(found) for found in slices] == [2, 2, 2]
    found = {outcome.key: record["followers_count"] for each in slices for outcome, record in each}
    assert found == {"1": 1, "2": 1, "5": 1, "6": 1, "7": 1, "3": 3}
