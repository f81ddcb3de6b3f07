"""The simulated users and accounts: the same everywhere, plausible, with hostile texts among them."""

import hashlib
from collections import Counter
from datetime import UTC, datetime

import pytest

from fanfold.simulator import fediverse, people, vocabulary
from fanfold.simulator.sample import accounts, user_ids
from fanfold.simulator.settings import Settings


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


def test_samples_are_the_beginnings_of_one_list_with_a_few_unknown_users():
    for sample, exists in ((user_ids, people.exists), (accounts, fediverse.exists)):
        longest = sample(10_000)
        assert len(set(longest)) == 10_000
        for users, unknown in [(1, 0), (2, 1), (20, 1), (300, 3), (10_000, 100)]:
            assert sample(users) == longest[:users]
            assert sum(not exists(each) for each in sample(users)) == unknown


def test_with_hours_profiles_follow_the_clock_and_without_only_the_day():
    noon = int(datetime(2026, 11, 28, 4, tzinfo=UTC).timestamp())  # in China
    still, now = Settings(now=noon, day=3), Settings(now=noon, hours=0)
    assert (still.age, now.age) == (people.Age(3), people.Age(119, 24 + 12))
    later = Settings(now=noon, hours=1).age
    uids = [uid for uid in user_ids(300) if people.exists(uid)]
    before, after = ([people.profile(uid, age) for uid in uids] for age in (now.age, later))
    changed = [one for one, two in zip(before, after, strict=True) if one != two]
    assert 20 < len(changed) < 100
    for one in (before, after):
        newest = max(moment(each["status"]["created_at"]) for each in one if "status" in each)
        assert newest < datetime(2026, 11, 27, 16, tzinfo=UTC), (
            "a post is of today, or of the future"
        )
    assert fediverse.account("ada", now.age) != fediverse.account("ada", people.Age(119))
    assert Settings(now=0, hours=0).age.days == 0, "a clock that is wrong"


def moment(text):
    return datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y")
