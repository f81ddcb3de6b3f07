import re
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.simulator import fediverse

ACCTS = st.from_regex(r"[a-z0-9_]{1,30}", fullmatch=True).filter(fediverse.exists)


@given(ACCTS)
def test_an_id_leads_back_to_its_account(acct):
    identity = fediverse.id_of(acct)
    assert identity.isdigit()
    assert fediverse.acct_of_id(identity) == acct


@pytest.mark.parametrize("identity", ["", "abc", "-1", "1.0", "٣", "9" * 5000])
def test_what_is_no_id_leads_nowhere(identity):
    assert not fediverse.acct_of_id(identity)


@pytest.mark.parametrize(
    ("acct", "there"),
    [
        ("alice", True),
        ("a" * 30, True),
        ("_", True),
        ("a" * 31, False),
        ("", False),
        ("nobody", False),
        ("nobody7", False),
        ("alice@elsewhere.example", False),
        ("alice\n", False),
        ("Alice", False),
    ],
)
def test_which_accounts_exist(acct, there):
    assert fediverse.exists(acct) is there


@given(ACCTS, st.integers(0, 36_500))
def test_on_a_later_day_it_is_the_same_account_that_has_posted_more(acct, day):
    then, now = fediverse.account(acct), fediverse.account(acct, day)
    moves = {"followers_count", "statuses_count", "last_status_at"}
    assert {name for name in now if then[name] != now[name]} <= moves
    assert now["followers_count"] >= 0
    assert now["statuses_count"] >= then["statuses_count"]


@given(ACCTS)
def test_every_account_has_mastodons_fields(acct):
    account = fediverse.account(acct)
    assert account == fediverse.account(acct)
    assert account["username"] == account["acct"] == acct
    for name in ("followers", "following", "statuses"):
        assert isinstance(account[f"{name}_count"], int)
        assert account[f"{name}_count"] >= 0
    created = datetime.fromisoformat(account["created_at"]).date()
    assert account["created_at"].endswith("T00:00:00.000Z")
    assert date(2016, 3, 16) <= created
    if account["last_status_at"] is None:
        assert account["statuses_count"] == 0
    else:
        assert created <= date.fromisoformat(account["last_status_at"]) <= date(2026, 7, 31)
    assert re.fullmatch(r"(<p>.*</p>)?", account["note"])
    assert len(account["fields"]) <= 2
    assert {"locked", "bot", "group", "emojis", "avatar_static", "header_static"} <= set(account)
