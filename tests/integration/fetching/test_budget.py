"""The rate budget holds over processes: each grant is on the record, and no window has too many."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from fanfold.fetching.budget import Unlimited, open_budget

TAKE = """
import sys, threading, time
from pathlib import Path
from fanfold.fetching.budget import open_budget
folder, rate, seconds = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
stop = threading.Event()
threading.Timer(seconds, stop.set).start()
def take(budget):
    while budget.acquire(stop):
        sys.stdout.write(f"{time.time()}\\n")
with open_budget(folder, "weibo_default", rate, None) as budget:
    threads = [threading.Thread(target=take, args=(budget,)) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def most_in_a_second(moments):
    moments = sorted(moments)
    first = 0
    most = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("rate", [5, 20])
def test_processes_together_stay_within_the_budget_and_use_it(tmp_path, rate):
    """Two processes of four threads; the moments are those after the grant, so one may be late."""
    seconds = 4
    command = [sys.executable, "-c", TAKE, str(tmp_path), str(rate), str(seconds)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    moments = [float(line) for worker in workers for line in worker.communicate()[0].split()]
    assert all(worker.returncode == 0 for worker in workers)
    assert most_in_a_second(moments) <= rate + 1
    assert len(moments) >= 0.8 * rate * (seconds - 1)


def test_an_hourly_budget_stops_when_it_is_spent(tmp_path):
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with open_budget(tmp_path, "weibo_default", None, 3) as budget:
        granted = 0
        while budget.acquire(stop):
            granted += 1
    assert granted == 3


def test_connections_have_budgets_of_their_own(tmp_path):
    stop = threading.Event()
    with (
        open_budget(tmp_path, "a", None, 1) as one,
        open_budget(tmp_path, "b/../a", None, 1) as other,
    ):
        assert one.acquire(stop)
        assert other.acquire(stop)
    assert len(list(tmp_path.glob("*.sqlite"))) == 2


def test_without_a_quota_nothing_waits_and_no_file_is_made(tmp_path):
    start = time.monotonic()
    with open_budget(tmp_path / "none", "a", None, None) as budget:
        assert isinstance(budget, Unlimited)
        assert all(budget.acquire(threading.Event()) for _ in range(1000))
    assert time.monotonic() - start < 5
    assert not (tmp_path / "none").exists()
