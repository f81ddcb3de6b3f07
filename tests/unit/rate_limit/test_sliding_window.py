"""The algorithm in virtual time: never over a limit, and little of it unused."""

from __future__ import annotations

import heapq
import random
from itertools import chain
from math import ceil

import pytest
from pyrate_limiter import InMemoryStateStore

from fanfold.errors import BadConfiguration
from fanfold.rate_limit.sliding_window import HOUR_MS, SECOND_MS, Limits, SlidingWindow

ALGORITHM = SlidingWindow()


def simulate(processes, seconds, *, late=2, think=1, stall=0):
    """Return when processes send their requests: ms, for each process.

    Args:
        processes: The limits of each process.
        seconds: Length of the simulation.
        late: Milliseconds by which a process wakes up late, at most.
        think: Milliseconds from one request to the next, at most.
        stall: Milliseconds for which a process sleeps after every 100 requests.
    """
    dice = random.Random(1)
    store = InMemoryStateStore()
    sent = [[] for _ in processes]
    start = 1_000_000
    due = [(float(start), number) for number in range(len(processes))]
    while due[0][0] < start + seconds * 1000:
        now, number = due[0]
        limits = processes[number]
        weight = dice.randint(1, limits.batch)
        decision = store.check(ALGORITHM, limits.rates, int(now), weight)
        if decision.failing_rate is limits.rates[2] and weight > 1:
            weight = 1
            decision = store.check(ALGORITHM, limits.rates, int(now), weight)
        if decision.allowed:
            sent[number] += [now] * weight
            now += dice.uniform(0, think) + stall * (len(sent[number]) % 100 == 0)
        else:
            assert decision.retry_after_ms > 0
            now += decision.retry_after_ms + dice.uniform(0, late)
        heapq.heapreplace(due, (now, number))
    return sent


def most_within(sent, window):
    """Return the number of requests in the fullest window of so many ms, its end excluded."""
    first = most = 0
    for last, moment in enumerate(sent):
        while sent[first] <= moment - window:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("late", [1, 20])
@pytest.mark.parametrize("rate", [0.1, 0.5, 1, 1.9, 2.5, 5, 20, 100, 333.3, 500, 1000])
def test_no_window_exceeds_the_limit_and_processes_use_94_percent_of_it(rate, late):
    seconds = max(10, 60 / rate)
    sent = sorted(chain(*simulate([Limits(rate, None)] * 3, seconds, late=late)))
    dice = random.Random(2)
    arrivals = sorted(moment + dice.uniform(0, 34) for moment in sent)
    assert most_within(arrivals, max(1000, 1000 / rate)) <= ceil(rate)
    assert len(sent) >= 0.94 * rate * (sent[-1] - sent[0]) / 1000


def test_requests_are_spread_over_a_second_and_missed_time_is_made_up_for():
    (sent,) = simulate([Limits(100, None)], 5)
    assert most_within(sent, 100) <= 21
    (sent,) = simulate([Limits(100, None)], 60, stall=60)
    assert len(sent) >= 0.94 * 100 * 60


@pytest.mark.parametrize("limit", [70, 1000, 100_000])
def test_no_hour_exceeds_the_hourly_limit_and_its_last_permit_is_granted(limit):
    (sent,) = simulate([Limits(None, limit)], 3 * 3600, think=60)
    assert most_within(sent, HOUR_MS - 1) <= limit
    assert len(sent) >= 0.94 * 3 * limit


def test_processes_with_a_lower_rate_stay_under_it_and_all_under_the_highest():
    slow, fast = simulate([Limits(40, None), Limits(100, None)], 10, late=20)
    assert most_within(slow, SECOND_MS) <= 40
    assert most_within(sorted(slow + fast), SECOND_MS) <= 100


@pytest.mark.parametrize("rate", [0.1, 1, 500])
def test_a_lost_state_costs_a_whole_window(rate):
    rates = Limits(rate, None).rates
    state, denied = ALGORITHM.step(rates, (), 1_000_000, 1)
    assert denied.retry_after_ms >= rates[1].interval
    _, granted = ALGORITHM.step(rates, state, 1_000_000 + denied.retry_after_ms, 1)
    assert granted.allowed


@pytest.mark.parametrize("value", [0, -1, 1e-9, float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["requests_per_second", "requests_per_hour"])
def test_a_limit_out_of_range_is_named(key, value):
    with pytest.raises(BadConfiguration, match=key):
        Limits(*(value, None) if key == "requests_per_second" else (None, value))
