"""Several processes share a budget, and a server counts: never over it, and little of it unused."""

from __future__ import annotations

import itertools
import json

import psutil
import pytest

SECONDS = 3


def most_in_a_second(stamps):
    """Return how many there are in the fullest window of a second, its end not included."""
    first = 0
    most = 0
    for last, stamp in enumerate(stamps):
        while stamps[first] <= stamp - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def used(stamps, rate):
    """Return which part of the budget was used from the first request to the last."""
    return len(stamps) / ((stamps[-1] - stamps[0]) * rate + 1)


def last_words(process):
    return json.loads(process.communicate()[0].splitlines()[-1])


def finish(processes):
    """Wait for processes that ask, and return what they say."""
    said = [last_words(process) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    assert [one["errors"] for one in said] == [[]] * len(said)
    return said


def ask_together(counted, rate, **options):
    """Let three processes ask, and return when their requests arrived."""
    finish([counted.ask(seconds=SECONDS, per_second=rate, **options) for _ in range(3)])
    return counted.stamps()["/"]


def check(counted, rate, **options):
    """Never over; and 95 % used, unless others left the processes no time to use it."""
    for _ in range(3):
        before = psutil.cpu_times()
        stamps = ask_together(counted, rate, **options)
        after = psutil.cpu_times()
        assert most_in_a_second(stamps) <= rate
        idle = (after.idle - before.idle) / (sum(after) - sum(before))
        if used(stamps, rate) >= (0.95 if idle > 0.1 else 0.5):
            return
    pytest.fail(f"Only {used(stamps, rate):.1%} of the budget was used, with {idle:.0%} idle")


@pytest.mark.parametrize("rate", [5, 500])
def test_a_file_keeps_processes_within_a_budget_that_they_use(counted, rate):
    check(counted, rate)


@pytest.mark.parametrize("rate", [20, 1000])
def test_redis_keeps_processes_within_a_budget_that_they_use(counted, redis_server, rate):
    check(counted, rate, redis_url=redis_server.url)


def test_below_one_a_second_requests_are_so_far_apart(counted):
    stamps = ask_together(counted, 0.8)
    assert len(stamps) >= 2
    assert min(late - early for early, late in itertools.pairwise(stamps)) >= 1 / 0.8


@pytest.mark.parametrize("store", ["file", "redis"])
def test_a_run_with_a_lower_rate_stays_under_it_and_all_under_the_larger(counted, store, request):
    options = {"seconds": SECONDS}
    if store == "redis":
        options["redis_url"] = request.getfixturevalue("redis_server").url
    finish(
        [
            counted.ask(per_second=40, name="slow", **options),
            counted.ask(per_second=100, name="fast", **options),
            counted.ask(per_second=100, name="fast", **options),
        ]
    )
    stamps = counted.stamps()
    assert most_in_a_second(stamps["/slow"]) <= 40
    assert most_in_a_second(sorted(stamps["/slow"] + stamps["/fast"])) <= 100
    assert len(stamps["/slow"]) > 40


def test_processes_that_are_killed_with_leases_do_not_stop_the_others(counted):
    doomed = [counted.ask(seconds=60, per_second=100) for _ in range(3)]
    survivor = counted.ask(seconds=SECONDS, per_second=100, name="survivor")
    for process in doomed:
        assert process.stdout.readline() == "asking\n"
        process.kill()
        process.wait()
    finish([survivor])
    stamps = counted.stamps()
    together = sorted(stamp for each in stamps.values() for stamp in each)
    assert most_in_a_second(together) <= 100
    assert len(stamps["/survivor"]) > 100


@pytest.mark.parametrize("store", ["file", "redis"])
def test_an_hourly_budget_is_given_to_the_last_request_and_not_beyond(counted, store, request):
    options = {"per_hour": 70, "patience": 5.0, "seconds": 30}
    if store == "redis":
        options["redis_url"] = request.getfixturevalue("redis_server").url
    # A lease that a process did not use up is given back: the second pair finds it.
    for _ in range(2):
        pair = [counted.ask(**options) for _ in range(2)]
        for process in pair:
            said = last_words(process)
            assert said["errors"][0].startswith("QuotaSpent: the budget of 70 requests per hour")
    assert len(counted.stamps()["/"]) == 70


def test_redis_may_lose_its_data_and_be_restarted_meanwhile(counted, redis_server):
    asking = [
        counted.ask(seconds=2 * SECONDS, per_second=100, redis_url=redis_server.url)
        for _ in range(2)
    ]
    for process in asking:
        assert process.stdout.readline() == "asking\n"
    redis_server.run("FLUSHALL")
    redis_server.stop()
    redis_server.start()
    made = [one["made"] for one in finish(asking)]
    assert most_in_a_second(counted.stamps()["/"]) <= 100
    assert min(made) > 0
    assert sum(made) > 200
