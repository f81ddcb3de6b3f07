import csv

from fanfold.local.launcher import write_users
from fanfold.simulator.sample import user_ids


def test_the_list_is_a_csv_with_a_header(tmp_path):
    path = write_users(tmp_path, 5)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["user_id"] for row in rows] == user_ids(5)
