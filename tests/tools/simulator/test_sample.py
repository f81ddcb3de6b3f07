import pytest

from fanfold.simulator.people import exists
from fanfold.simulator.sample import user_ids


@pytest.mark.parametrize(("users", "unknown"), [(1, 0), (2, 1), (20, 1), (300, 3), (10_000, 100)])
def test_the_users_are_distinct_and_a_few_of_them_unknown(users, unknown):
    ids = user_ids(users)
    assert len(set(ids)) == users
    assert sum(not exists(uid) for uid in ids) == unknown
    assert all(len(uid) == 10 for uid in ids)


def test_the_users_are_the_same_each_time():
    assert user_ids(300) == user_ids(300)
