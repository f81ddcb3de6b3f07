"""The simulated users and accounts: the same everywhere, plausible, with hostile texts among them."""

import hashlib
from collections import Counter

import pytest

from fanfold.simulator import fediverse, people, vocabulary
from fanfold.simulator.sample import user_ids


@pytest.fixture(scope="module")
def crowd():
    step = (people.LAST_UID - people.FIRST_UID) // 8000
    return [people.profile(str(people.FIRST_UID + n * step + n % 97)) for n in range(8000)]


def test_a_uid_has_the_same_profile_on_every_machine():
    """The digest was computed on Python 3.11 and 3.12; a change here changes everyone's data."""
    digest = hashlib.sha256()
    for n in range(1000):
        digest.update(people.profile_json(str(1_404_376_560 + n * 5_432_109)))
    assert digest.hexdigest() == "c9c13bf87e43409fd71463e9b13f5d80d5add4859b97244dda1890654b7c45cd"


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


def test_the_users_of_a_sample_are_distinct_and_a_few_of_them_unknown():
    for users, unknown in [(1, 0), (2, 1), (20, 1), (300, 3), (10_000, 100)]:
        ids = user_ids(users)
        assert len(set(ids)) == users
        assert sum(not people.exists(uid) for uid in ids) == unknown
        assert ids == user_ids(users)
