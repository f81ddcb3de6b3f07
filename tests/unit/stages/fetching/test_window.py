"""The number of requests in flight: what makes it grow, what cuts it, and where it settles."""

from __future__ import annotations

import pytest

from fanfold.stages.fetching.window import Window


def rounds(window, count, latency, *, now=0.0):
    """Let ``count`` rounds of answers come, all after the same latency; return the time then."""
    for _ in range(count):
        answers = window.limit
        for _ in range(answers):
            window.answered(now, now + latency)
        now += latency
    return now


def test_it_doubles_each_round_until_it_is_as_high_as_it_may_be():
    window = Window(100)
    heights = []
    for _ in range(5):
        heights.append(window.limit)
        rounds(window, 1, 0.05)
    assert heights == [8, 16, 32, 64, 100]


@pytest.mark.parametrize("most", [1, 3, 16, 256])
def test_it_is_never_above_the_concurrency_and_never_below_one(most):
    window = Window(most)
    now = rounds(window, 12, 0.01)
    assert window.limit == most == window.highest
    for moment in range(20):
        window.strained(now + moment, now + moment)
    assert window.limit == 1


def test_a_strain_halves_it_and_growth_is_one_a_round_from_then_on():
    window = Window(100)
    now = rounds(window, 5, 0.05)
    window.strained(now, now + 0.01)
    assert window.limit == 50
    rounds(window, 3, 0.05, now=now + 1)
    assert 52 <= window.limit <= 53


def test_one_burst_of_refusals_is_one_strain():
    window = Window(64)
    now = rounds(window, 4, 0.05)
    for number in range(64):
        window.strained(now, now + 0.001 * number)
    assert window.limit == 32
    assert window.strains == 1


def test_growing_latency_cuts_it_before_the_source_refuses():
    window = Window(200)
    now = rounds(window, 6, 0.05)
    rounds(window, 2, 0.5, now=now)
    assert window.limit <= 200 * 0.8


def test_a_source_that_is_slow_from_the_start_is_not_taken_for_strained():
    window = Window(64)
    rounds(window, 30, 2.0)
    assert window.limit == 64
    assert window.strains == 0


def test_it_settles_where_a_source_of_fixed_capacity_does_not_queue():
    """A server that answers 1,000 requests a second, 50 ms each: 50 in flight keep it busy."""
    window = Window(200)
    now = 0.0
    limits = []
    for _ in range(300):
        latency = max(0.05, window.limit / 1000)
        now = rounds(window, 1, latency, now=now)
        limits.append(window.limit)
    settled = limits[100:]
    assert min(settled) >= 50, "the server has to stay busy"
    assert max(settled) <= 170, "its queue has to stay short"
