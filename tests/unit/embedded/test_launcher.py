import csv

import pytest

from fanfold.embedded.launcher import user_ids, write_users


@pytest.mark.parametrize(("users", "unknown"), [(1, 0), (2, 1), (20, 1), (300, 3), (10_000, 100)])
def test_the_users_are_distinct_and_a_few_of_them_unknown(users, unknown):
    ids = user_ids(users)
    assert len(set(ids)) == users
    assert sum(not 1_000_000_000 <= int(uid) <= 7_999_999_999 for uid in ids) == unknown
    assert all(len(uid) == 10 for uid in ids)


def test_the_users_are_the_same_each_time():
    assert user_ids(300) == user_ids(300)


def test_the_list_is_a_csv_with_a_header(tmp_path):
    path = write_users(tmp_path, 5)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["user_id"] for row in rows] == user_ids(5)
