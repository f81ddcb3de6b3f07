"""Two loads at the same time, of different runs with the same users."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from fanfold.stages.loading import load


def users(order, followers):
    return [
        {
            "source": "weibo",
            "user_id": str(number),
            "followers_count": followers,
            "created_at": datetime(2012, 1, 1, tzinfo=UTC),
        }
        for number in order
    ]


@pytest.mark.parametrize("attempt", range(3))
def test_two_runs_at_once_end_with_the_newer_one(warehouse, make_dataset, attempt):
    """Both create the tables and update the same rows, in opposite order; one waits."""
    older = make_dataset(users(range(3_000), 1), day=1)
    newer = make_dataset(users(reversed(range(3_000)), 2), day=2)
    together = threading.Barrier(2)

    def run(dataset):
        with warehouse.connect() as connection:
            together.wait(timeout=30)
            return load(connection, dataset.path, dataset.manifest)

    with ThreadPoolExecutor(2) as pool:
        datasets = [older, newer] if attempt % 2 else [newer, older]
        results = list(pool.map(run, datasets, timeout=60))
    assert {result.rows_in_table for result in results} == {3_000}
    assert warehouse.query("SELECT followers_count, count(*) FROM user_profiles GROUP BY 1") == [
        (2, 3_000)
    ]
    assert warehouse.query("SELECT count(*) FROM fanfold_runs") == [(2,)]
