"""The simulated users and accounts: the same everywhere, plausible, with hostile texts among them."""

import hashlib
import re
from collections import Counter
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.simulator import fediverse, people, vocabulary
from fanfold.simulator.provinces import PROVINCES
from fanfold.simulator.sample import user_ids

UIDS = st.integers(people.FIRST_UID, people.LAST_UID).map(str)
ACCTS = st.from_regex(r"[a-z0-9_]{1,30}", fullmatch=True).filter(fediverse.exists)


@pytest.fixture(scope="module")
def crowd():
    step = (people.LAST_UID - people.FIRST_UID) // 8000
    return [people.profile(str(people.FIRST_UID + n * step + n % 97)) for n in range(8000)]


def moment(text):
    return datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y")


def test_a_uid_has_the_same_profile_on_every_machine():
    """The digest was computed on Python 3.11 and 3.12; a change here changes everyone's data."""
    digest = hashlib.sha256()
    for n in range(1000):
        digest.update(people.profile_json(str(1_404_376_560 + n * 5_432_109)))
    assert digest.hexdigest() == "c9c13bf87e43409fd71463e9b13f5d80d5add4859b97244dda1890654b7c45cd"


@given(UIDS)
def test_every_profile_obeys_the_contract_of_the_api(uid):
    profile = people.profile(uid)
    assert (profile["id"], profile["idstr"]) == (int(uid), uid)
    assert profile["screen_name"] == profile["name"]
    assert profile["screen_name"].strip()
    for name in ("followers", "friends", "statuses", "favourites", "bi_followers"):
        count = profile[f"{name}_count"]
        assert isinstance(count, int)
        assert 0 <= count <= 100_000_000
    assert profile["bi_followers_count"] <= min(
        profile["followers_count"], profile["friends_count"]
    )
    created = moment(profile["created_at"])
    assert datetime(2009, 8, 13, 16, tzinfo=UTC) <= created < datetime(2026, 6, 30, 16, tzinfo=UTC)
    if "status" in profile:
        assert profile["statuses_count"] > 0
        assert created.date() < moment(profile["status"]["created_at"]).date()
    assert profile["gender"] in {"m", "f", "n"}
    assert profile["verified"] == (0 <= profile["verified_type"] <= 7)
    assert profile["location"].split()[0] == PROVINCES[int(profile["province"])]


def test_which_users_and_accounts_exist():
    uids = ["1000000000", "7999999999"]
    others = [
        "999999999",
        "8000000000",
        "0404376560",
        "01404376560",
        "١٤٠٤٣٧٦٥٦٠",
        "1e10000000",
        "",
    ]
    assert [uid for uid in uids + others if people.exists(uid)] == uids
    accounts = ["alice", "a" * 30, "_"]
    others = ["a" * 31, "", "nobody", "nobody7", "alice@elsewhere.example", "alice\n", "Alice"]
    assert [acct for acct in accounts + others if fediverse.exists(acct)] == accounts


def test_every_hostile_text_occurs(crowd):
    names = Counter(profile["name"] for profile in crowd)
    descriptions = Counter(profile["description"] for profile in crowd)
    assert [trap for trap in vocabulary.NAME_TRAPS if not names[trap]] == []
    assert [trap for trap in vocabulary.DESCRIPTION_TRAPS if not descriptions[trap]] == []
    assert descriptions[""] > 0
    for key in ("province", "city"):
        assert {type(profile[key]) for profile in crowd} == {int, str}


def test_the_users_are_distributed_as_on_weibo(crowd):
    followers = sorted(profile["followers_count"] for profile in crowd)
    assert 100 < followers[len(crowd) // 2] < 1000
    assert followers[-1] > 10_000_000
    kinds = Counter(profile["verified_type"] for profile in crowd)
    assert kinds[-1] > 0.75 * len(crowd)
    assert set(kinds) == {-1, 0, 1, 2, 3, 4, 5, 7, 200, 220}
    assert 0 < sum("status" not in profile for profile in crowd) < len(crowd) / 5
    assert 0 < sum(profile["friends_count"] == 0 for profile in crowd) < len(crowd) / 20


@given(ACCTS)
def test_every_account_has_mastodons_fields(acct):
    account = fediverse.account(acct)
    assert fediverse.acct_of_id(account["id"]) == acct
    assert account["username"] == account["acct"] == acct
    for name in ("followers", "following", "statuses"):
        assert account[f"{name}_count"] >= 0
    created = datetime.fromisoformat(account["created_at"]).date()
    assert account["created_at"].endswith("T00:00:00.000Z")
    if account["last_status_at"] is None:
        assert account["statuses_count"] == 0
    else:
        assert created <= date.fromisoformat(account["last_status_at"]) <= date(2026, 7, 31)
    assert re.fullmatch(r"(<p>.*</p>)?", account["note"])
    assert {"locked", "bot", "group", "emojis", "avatar_static", "header_static"} <= set(account)


def test_the_users_of_a_sample_are_distinct_and_a_few_of_them_unknown():
    for users, unknown in [(1, 0), (2, 1), (20, 1), (300, 3), (10_000, 100)]:
        ids = user_ids(users)
        assert len(set(ids)) == users
        assert sum(not people.exists(uid) for uid in ids) == unknown
        assert ids == user_ids(users)
