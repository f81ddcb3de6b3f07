"""Mastodon: what its records become, in the columns of the Weibo pipeline."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pandas as pd
import pytest

from fanfold import testing
from fanfold.stages.processing import arrow_schema
from pipelines import weibo_user_profiles
from pipelines._user_profile_charts import YEARS
from pipelines.mastodon_user_profiles import PIPELINE

AS_OF = datetime(2026, 5, 2, tzinfo=UTC)
GOOD = {
    "server": "here.example",
    "id": "23634",
    "acct": "alice",
    "display_name": "Alice 🐘",
    "note": "<p>Hi &amp; <b>hello</b><br>you</p><p>two</p>",
    "url": "https://example.social/@alice",
    "avatar": "https://example.social/a.png",
    "followers_count": 3,
    "following_count": 2,
    "statuses_count": 365,
    "created_at": "2025-05-02T00:00:00.000Z",
    "last_status_at": "2026-05-01",
    "fields": [{"name": "web", "value": "x", "verified_at": "2024-01-01T00:00:00Z"}],
}
READ = [
    ({}, {"source": "mastodon", "server": "here.example", "user_id": "0", "name": "Alice 🐘"}),
    ({"id": "23634"}, {"user_id": "23634", "screen_name": "alice"}),
    ({}, {"description": "Hi & hello\nyou\ntwo", "verified": True, "friends_count": 2}),
    ({}, {"followers_to_friends": 1.5, "account_age_days": 365, "statuses_per_day": 1}),
    ({}, {"region": None, "gender": None, "verified_type": None, "favourites_count": None}),
    ({}, {"last_status_at": datetime(2026, 5, 1, tzinfo=UTC)}),
    ({"last_status_at": None}, {"last_status_at": None}),
    ({"note": "<p> </p>"}, {"description": None}),
    ({"note": "&#0;<p>a\0</p>"}, {"description": "�a"}),
    ({"note": 5}, {"description": "5"}),
    *(({"fields": fields}, {"verified": False}) for fields in (None, [], "x", [1], [{"a": 1}])),
    *(
        ({name: hidden}, {column: None})
        for name, column in {
            "followers_count": "followers_count",
            "following_count": "friends_count",
            "statuses_count": "statuses_count",
        }.items()
        for hidden in (-1, "-1", None)
    ),
    ({"followers_count": -1}, {"followers_to_friends": None, "statuses_per_day": 1}),
    ({"display_name": "x" * 201}, {"name": "x" * 201}),
    ({"note": "x" * 20_001}, {"description": "x" * 20_001}),
    ({"acct": "a@xn--bcher-kva.example"}, {"screen_name": "a@bücher.example"}),
    ({"acct": f"{'x' * 40}@{'y' * 250}"}, {"screen_name": f"{'x' * 40}@{'y' * 250}"}),
    ({"id": "x" * 65}, {"user_id": "x" * 65}),
    ({"created_at": "1995-06-01T00:00:00.000Z"}, {"created_at": datetime(1995, 6, 1, tzinfo=UTC)}),
    ({"created_at": "1970-01-01T00:00:00Z"}, {"created_at": datetime(1970, 1, 1, tzinfo=UTC)}),
    ({"last_status_at": "1999-01-01"}, {"last_status_at": datetime(1999, 1, 1, tzinfo=UTC)}),
    *(
        ({"created_at": none}, {"created_at": None, "account_age_days": None})
        for none in (
            *(None, "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "1969-12-31"),
            "-0001-11-30T00:00:00.000Z",
        )
    ),
    ({"created_at": "2025-05-02"}, {"created_at": datetime(2025, 5, 2, tzinfo=UTC)}),
    (
        {"created_at": "2025-05-02T01:00:00+01:00"},
        {"created_at": datetime(2025, 5, 2, tzinfo=UTC)},
    ),
]
BROKEN = [
    ("user_id", {"id": None}),
    ("server", {"server": ""}),
    ("screen_name", {"acct": ""}),
    ("description", {"note": ["x"]}),
    ("friends_count", {"following_count": True}),
    ("statuses_count", {"statuses_count": "-"}),
    ("created_at", {"created_at": "soon"}),
    ("created_at", {"created_at": 1746144000}),
    ("created_at", {"created_at": False}),
    ("last_status_at", {"last_status_at": "never"}),
]


@pytest.fixture(scope="module")
def result():
    changed = [fields for fields, _ in READ] + [fields for _, fields in BROKEN]
    records = {f"user{n}": [{**GOOD, "id": f"{n}", **fields}] for n, fields in enumerate(changed)}
    return testing.run(PIPELINE, records=records, as_of=AS_OF, charts=False)


def test_the_columns_are_those_of_weibo():
    schema = arrow_schema(PIPELINE.contract)
    assert schema == arrow_schema(weibo_user_profiles.PIPELINE.contract)


@pytest.mark.parametrize("place", range(len(READ)), ids=[f"{fields!r:.60}" for fields, _ in READ])
def test_what_can_be_read_is_read(result, place):
    assert len(result.rows) == len(READ)
    row = result.rows.iloc[place]
    for column, expected in READ[place][1].items():
        if expected is None:
            assert pd.isna(row[column]), column
        else:
            assert row[column] == expected, column


def test_a_broken_value_costs_its_row_and_is_named(result):
    assert list(result.rejected["column"]) == [column for column, _ in BROKEN]
    keys = [f"user{len(READ) + n}" for n in range(len(BROKEN))]
    assert list(result.rejected["item"]) == keys


def test_two_names_of_an_account_are_one_row_and_both_are_ok():
    """Each day: the comparison with an equal day would have a row that is gone."""
    again = {**GOOD, "followers_count": 4}  # somebody followed between the two requests
    records = {"alice": [GOOD], "@Alice@here.example": [again], "bob": [{**GOOD, "id": "1"}]}
    result = testing.run(PIPELINE, records=records, as_of=AS_OF, charts=False)
    assert result.rows[["user_id", "followers_count"]].to_numpy().tolist() == [
        ["23634", 3],
        ["1", 3],
    ]
    assert set(result.outcomes["status"]) == {"ok"}
    reason = "has the key of alice with other values; the dataset has the row of alice"
    assert list(result.outcomes["reason"]) == ["", reason, ""]
    counted = result.manifest
    assert (counted.same, counted.differing, counted.repeated) == (1, 1, 0)


def test_an_id_of_another_server_is_another_account():
    records = {"alice": [GOOD], "carol": [{**GOOD, "server": "there.example", "acct": "carol"}]}
    result = testing.run(PIPELINE, records=records, as_of=AS_OF, charts=False)
    assert list(result.rows["server"]) == ["here.example", "there.example"]
    assert (result.manifest.same, result.manifest.repeated) == (0, 0)


def test_the_charts_hold_what_servers_of_other_kinds_show():
    changes = [
        {"created_at": "1970-01-01", "followers_count": -1},
        {"created_at": None, "followers_count": None, "statuses_count": -1, "last_status_at": None},
        {},
    ]
    records = {f"u{n}": [{**GOOD, "id": f"{n}", **change}] for n, change in enumerate(changes)}
    for some, years in (
        (records, {"≤ 2005": 1, **dict.fromkeys(map(str, range(2006, 2025)), 0), "2025": 1}),
        ({"u1": records["u1"]}, {}),
    ):
        result = testing.run(PIPELINE, records=some, as_of=AS_OF)
        assert len(result.rows) == len(some)
        with duckdb.connect() as connection:
            connection.register("dataset", result.rows)
            found = connection.sql(YEARS.sql).fetchall()
        assert {year: accounts for year, accounts, _ in found} == years
