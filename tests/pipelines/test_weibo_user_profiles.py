"""Weibo: what its records become, and which values cost their row and no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fanfold import testing
from fanfold.simulator.people import FIRST_UID
from pipelines.weibo_user_profiles import PIPELINE

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {
    "id": FIRST_UID,
    "screen_name": "张伟",
    "province": "44",
    "gender": "m",
    "verified": False,
    "verified_type": -1,
    "followers_count": 300,
    "friends_count": 100,
    "statuses_count": 731,
    "created_at": "Mon Jan 01 08:00:00 +0800 2024",
    "status": {"created_at": "Wed Dec 31 20:00:00 +0800 2025"},
}
COLUMNS = [
    *("source", "server", "user_id", "screen_name", "name", "description", "location", "region"),
    "gender",
    *("url", "profile_url", "avatar_url", "verified", "verified_type", "verified_reason"),
    *("followers_count", "friends_count", "statuses_count", "favourites_count"),
    *("mutual_followers_count", "created_at", "last_status_at", "followers_to_friends"),
    *("account_age_days", "statuses_per_day", "as_of"),
]
READ = [
    ({}, {"source": "weibo", "server": "weibo.com", "region": "广东"}),
    ({}, {"verified": False, "verified_type": "none"}),
    ({}, {"followers_to_friends": 3, "account_age_days": 731, "statuses_per_day": 1}),
    ({}, {"description": None, "favourites_count": None, "as_of": AS_OF}),
    ({}, {"last_status_at": datetime(2025, 12, 31, 12, tzinfo=UTC)}),
    ({"status": None}, {"last_status_at": None}),
    ({"status": "deleted"}, {"last_status_at": None}),
    ({"friends_count": 0}, {"followers_to_friends": None}),
    (
        {"created_at": "Fri May 01 00:00:00 +0800 2026"},  # after the logical date
        {"account_age_days": 0, "statuses_per_day": 731},
    ),
    (
        {"created_at": "Fri Aug 28 00:30:00 -0330 2009"},
        {"created_at": datetime(2009, 8, 28, 4, tzinfo=UTC)},
    ),
    ({"province": 44}, {"region": "广东"}),
    ({"province": "044"}, {"region": "广东"}),
    ({"province": 77}, {"region": None}),
    ({"province": 2**70}, {"region": None}),
    ({"verified": None}, {"verified": False}),
    ({"verified": 1, "verified_type": "3"}, {"verified": True, "verified_type": "media"}),
    ({"verified_type": 77}, {"verified_type": "other"}),
    ({"followers_count": " 12 "}, {"followers_count": 12}),
    ({"followers_count": 12.0}, {"followers_count": 12}),
    ({"followers_count": 10**12}, {"followers_count": 10**12}),
    ({"screen_name": " a\0b\ud800 "}, {"screen_name": "ab?"}),
    ({"screen_name": 5, "name": "\0 ", "description": ""}, {"screen_name": "5", "name": None}),
    ({"gender": " f "}, {"gender": "f"}),
    *(
        ({name: empty}, {column: None})
        for name, column in {
            "province": "region",
            "verified_type": "verified_type",
            "gender": "gender",
            "followers_count": "followers_count",
            "created_at": "created_at",
            "bi_followers_count": "mutual_followers_count",
        }.items()
        for empty in ("", " ", None)
    ),
    ({"verified": "", "verified_type": ""}, {"verified": False, "verified_type": None}),
    ({"screen_name": "x" * 201}, {"screen_name": "x" * 201}),
    ({"description": "x" * 20_001}, {"description": "x" * 20_001}),
    ({"\ud800": 1, "followers_count ": 2, "index": 3, "_item": "7"}, {"followers_count": 300}),
]
BROKEN = [
    *(("followers_count", value) for value in (-5, 10**12 + 1, 10**30, 2**63, "many")),
    *(("followers_count", value) for value in (1.5, True, "1_000", [1], {"n": 1})),
    *(("favourites_count", value) for value in (-1, 0.5, False, "0x10")),
    *(("created_at", value) for value in ("yesterday", 1251388800, {}, "x" * 65)),
    ("created_at", "Fri Aug 99 00:00:00 +0800 2009"),
    ("created_at", "Mon Jan 01 08:00:00 +0800 1900"),
    ("created_at", "Mon Jan 01 00:00:00 +0800 0001"),
    ("created_at", "Fri Aug 28 00:00:00 0800 2009"),
    *(("screen_name", value) for value in (None, " ", ["x"], 1.5, True)),
    *(("gender", value) for value in ("?", 1, True)),
    *(("verified", value) for value in ("yes", 2, {})),
    *(("verified_type", value) for value in ("famous", 1.5, True, "--5")),
    *(("region", value) for value in ("广州", True, [44])),
]
FIELDS = {"region": "province"}


def run(records):
    return testing.run(
        PIPELINE,
        records={
            str(uid): [{**record, "id": uid}] for uid, record in enumerate(records, FIRST_UID)
        },
        as_of=AS_OF,
        charts=False,
    )


@pytest.fixture(scope="module")
def read():
    """All of READ in one run: a strange value must not change the type of its neighbours."""
    return run({**GOOD, **fields} for fields, _ in READ)


@pytest.fixture(scope="module")
def broken():
    """All of BROKEN between two good records."""
    records = [{**GOOD, FIELDS.get(column, column): value} for column, value in BROKEN]
    return run([GOOD, *records, GOOD])


def test_each_record_is_a_row_with_all_columns(read):
    assert read.rejected.empty
    assert list(read.rows) == COLUMNS
    assert len(read.rows) == len(READ)


@pytest.mark.parametrize("place", range(len(READ)), ids=[f"{fields!r:.60}" for fields, _ in READ])
def test_what_can_be_read_is_read(read, place):
    row = read.rows.iloc[place]
    for column, expected in READ[place][1].items():
        if expected is None:
            assert pd.isna(row[column]), column
        else:
            assert row[column] == expected, column


def test_broken_values_cost_no_other_row(broken):
    assert len(broken.rows) == 2
    assert len(broken.rejected) == len(BROKEN)
    assert set(broken.outcomes["status"][1:-1]) == {"invalid"}


@pytest.mark.parametrize(
    "place", range(len(BROKEN)), ids=[f"{name}={value!r:.40}" for name, value in BROKEN]
)
def test_a_broken_value_is_named(broken, place):
    column, value = BROKEN[place]
    found = broken.rejected.iloc[place]
    assert found["item"] == str(FIRST_UID + 1 + place)
    assert found["column"] == column
    assert found["value"]
    assert found["rule"]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        assert str(value) in found["value"]


def test_an_account_is_unchanged_although_it_is_a_day_older():
    (now,), (later,) = (
        testing.run(PIPELINE, records={"1": [GOOD]}, as_of=day, charts=False).rows.to_dict(
            "records"
        )
        for day in (AS_OF, AS_OF + timedelta(days=1))
    )
    changed = {name for name in COLUMNS if now[name] != later[name] and not pd.isna(now[name])}
    assert changed == {*PIPELINE.not_compared, "as_of"}
