import hashlib
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.simulator import people, vocabulary
from fanfold.simulator.places import PROVINCES

UIDS = st.integers(people.FIRST_UID, people.LAST_UID).map(str)


@pytest.fixture(scope="module")
def crowd():
    step = (people.LAST_UID - people.FIRST_UID) // 8000
    return [people.profile(str(people.FIRST_UID + n * step + n % 97)) for n in range(8000)]


def moment(text):
    return datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y")


def test_same_uid_same_profile_on_every_machine():
    """The sum was taken once, on Python 3.11 and 3.12; a change here changes everyone's data."""
    sums = hashlib.sha256()
    for n in range(1000):
        sums.update(people.profile_json(str(1_404_376_560 + n * 5_432_109)))
    assert sums.hexdigest() == "c9c13bf87e43409fd71463e9b13f5d80d5add4859b97244dda1890654b7c45cd"


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
    assert bool(profile["verified_reason"]) == profile["verified"]
    assert profile["location"].split()[0] == PROVINCES[int(profile["province"])]
    assert int(profile["city"]) > 0


@given(UIDS, st.integers(0, 36_500))
def test_on_a_later_day_it_is_the_same_person_who_has_posted_more(uid, day):
    then, now = people.profile(uid), people.profile(uid, day)
    moves = {
        "followers_count",
        "followers_count_str",
        "statuses_count",
        "video_status_count",
        "bi_followers_count",
        "status",
    }
    assert {name for name in now if then.get(name) != now[name]} <= moves
    assert 0 <= now["followers_count"] <= people.MOST_FOLLOWERS
    assert now["statuses_count"] >= then["statuses_count"]
    assert now["bi_followers_count"] <= now["followers_count"]


def test_followers_come_and_go_by_the_day(crowd):
    """Day 0 is the world as it always was; a week later most have gained, some have lost."""
    before = [profile["followers_count"] for profile in crowd]
    after = [people.profile(profile["idstr"], 7)["followers_count"] for profile in crowd]
    assert [people.profile(p["idstr"], 0)["followers_count"] for p in crowd] == before
    changes = [now - then for then, now in zip(before, after, strict=True) if then >= 1000]
    assert sum(change > 0 for change in changes) > len(changes) / 2
    assert 0 < sum(change < 0 for change in changes) < len(changes) / 3


@pytest.mark.parametrize(
    ("uid", "there"),
    [
        ("1000000000", True),
        ("7999999999", True),
        ("999999999", False),
        ("8000000000", False),
        ("0404376560", False),
        ("01404376560", False),
        ("١٤٠٤٣٧٦٥٦٠", False),
        ("1e10000000", False),
        ("", False),
    ],
)
def test_ten_digit_numbers_from_1_to_7_exist(uid, there):
    assert people.exists(uid) is there


def test_every_trap_occurs(crowd):
    names = Counter(profile["name"] for profile in crowd)
    descriptions = Counter(profile["description"] for profile in crowd)
    assert [trap for trap in vocabulary.NAME_TRAPS if not names[trap]] == []
    assert [trap for trap in vocabulary.DESCRIPTION_TRAPS if not descriptions[trap]] == []
    assert descriptions[""] > 0
    for key in ("province", "city"):
        assert {type(profile[key]) for profile in crowd} == {int, str}
    assert 0 < sum("status" not in profile for profile in crowd) < len(crowd) / 5
    assert 0 < sum(profile["friends_count"] == 0 for profile in crowd) < len(crowd) / 20
    assert max(profile["followers_count"] for profile in crowd) > 10_000_000


def test_the_crowd_looks_like_weibo(crowd):
    followers = sorted(profile["followers_count"] for profile in crowd)
    assert 100 < followers[len(crowd) // 2] < 1000
    kinds = Counter(profile["verified_type"] for profile in crowd)
    assert kinds[-1] > 0.75 * len(crowd)
    assert set(kinds) == {-1, 0, 1, 2, 3, 4, 5, 7, 200, 220}
    assert {profile["created_at"][-4:] for profile in crowd} == {str(y) for y in range(2009, 2027)}
    assert len({str(profile["province"]) for profile in crowd}) == len(PROVINCES)


@given(UIDS)
def test_older_accounts_have_posted_more_at_the_same_pace(uid):
    profile = people.profile(uid)
    age = people.POSTS_UNTIL - moment(profile["created_at"]).toordinal()
    assert profile["statuses_count"] <= 15 * age + 20


def test_a_screen_name_leads_back_to_its_user():
    name = people.profile("1404376560")["screen_name"]
    assert people.uid_of_name(name) == "1404376560"
    assert people.uid_of_name("用户1404376561") == "1404376561"
    assert people.uid_of_name("用户99") is None
    assert people.uid_of_name("nobody has this name") is None


def test_remembered_names_are_bounded():
    for n in range(people._NAMES_KEPT + 50):
        people._remember(f"name {n}", "1404376560")
    assert len(people._names) == people._NAMES_KEPT
