"""The number of requests in flight: what makes it grow, what cuts it, and where it settles."""

from __future__ import annotations

import pytest

from fanfold.stages.fetching.concurrency import AdaptiveLimit


def rounds(limit, count, latency, *, now=0.0):
    """Let ``count`` rounds of answers come, all after the same latency; return the time then."""
    for _ in range(count):
        answers = limit.limit
        for _ in range(answers):
            limit.record_response(now, now + latency)
        now += latency
    return now


def test_it_doubles_each_round_until_it_is_as_high_as_it_may_be():
    limit = AdaptiveLimit(100)
    heights = []
    for _ in range(5):
        heights.append(limit.limit)
        rounds(limit, 1, 0.05)
    assert heights == [8, 16, 32, 64, 100]


@pytest.mark.parametrize("most", [1, 3, 16, 256])
def test_it_is_never_above_the_concurrency_and_never_below_one(most):
    limit = AdaptiveLimit(most)
    now = rounds(limit, 12, 0.01)
    assert limit.limit == most == limit.highest
    for moment in range(20):
        limit.record_overload(now + moment, now + moment, "503")
    assert limit.limit == 1


def test_a_strain_halves_it_and_growth_is_one_a_round_from_then_on():
    limit = AdaptiveLimit(100)
    now = rounds(limit, 5, 0.05)
    limit.record_overload(now, now + 0.01, "503")
    assert limit.limit == 50
    rounds(limit, 3, 0.05, now=now + 1)
    assert 52 <= limit.limit <= 53


def test_one_burst_of_refusals_is_one_strain():
    limit = AdaptiveLimit(64)
    now = rounds(limit, 4, 0.05)
    for number in range(64):
        limit.record_overload(now, now + 0.001 * number, "503")
    assert limit.limit == 32
    assert limit.decreases == 1


def test_growing_latency_cuts_it_before_the_source_refuses():
    limit = AdaptiveLimit(200)
    now = rounds(limit, 6, 0.05)
    rounds(limit, 2, 0.5, now=now)
    assert limit.limit <= 200 * 0.8


def test_a_source_that_is_slow_from_the_start_is_not_taken_for_strained():
    limit = AdaptiveLimit(64)
    rounds(limit, 30, 2.0)
    assert limit.limit == 64
    assert limit.decreases == 0


def test_it_settles_where_a_source_of_fixed_capacity_does_not_queue():
    """A server that answers 1,000 requests a second, 50 ms each: 50 in flight keep it busy."""
    limit = AdaptiveLimit(200)
    now = 0.0
    limits = []
    for _ in range(300):
        latency = max(0.05, limit.limit / 1000)
        now = rounds(limit, 1, latency, now=now)
        limits.append(limit.limit)
    settled = limits[100:]
    assert min(settled) >= 50, "the server has to stay busy"
    assert max(settled) <= 170, "its queue has to stay short"
