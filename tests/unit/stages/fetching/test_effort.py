"""What a fetch tells of itself: each request once, and how long they waited."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fanfold.errors import QuotaSpent
from fanfold.stages.fetching import effort
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.effort import Effort, Efforts


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Slow:
    """A budget for which each request waits as long as it says, and that then does what it says."""

    def __init__(self, clock, seconds, gives):
        self.clock = clock
        self.seconds = seconds
        self.gives = gives
        self.paused = []

    def acquire(self, stop):
        assert not stop.is_set()
        self.clock.now += self.seconds
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    def pause(self, seconds, reason):
        self.paused.append((seconds, reason))


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(effort, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


@pytest.fixture
def told():
    return []


@pytest.fixture
def efforts(told):
    return Efforts(lambda new: told.append(replace(new)))


def test_requests_that_got_leave_are_counted_with_what_they_waited(clock, efforts, told):
    budget = efforts.of_budget(Slow(clock, 1.5, gives=True))
    assert all(budget.acquire(threading.Event()) for _ in range(3))
    efforts.tell()
    assert told == [Effort(requests=3, waited=4.5)]


def test_one_that_is_told_to_stop_has_waited_and_was_not_sent(clock, efforts, told):
    assert not efforts.of_budget(Slow(clock, 2.0, gives=False)).acquire(threading.Event())
    efforts.tell()
    assert told == [Effort(requests=0, waited=2.0)]


def test_one_for_which_the_quota_is_spent_has_waited_and_was_not_sent(clock, efforts, told):
    budget = efforts.of_budget(Slow(clock, 2.0, gives=QuotaSpent("spent")))
    with pytest.raises(QuotaSpent, match="spent"):
        budget.acquire(threading.Event())
    efforts.tell()
    assert told == [Effort(requests=0, waited=2.0)]


def test_a_pause_reaches_the_rate_limiter(clock, efforts):
    budget = Slow(clock, 0, gives=True)
    efforts.of_budget(budget).pause(30.0, "Retry-After")
    assert budget.paused == [(30.0, "Retry-After")]


def test_repeats_are_counted_with_their_waits_and_giving_up_is_none(efforts, told):
    backoff = efforts.of_backoff(Backoff(attempts=3))
    waits = [backoff.wait_after(1), backoff.wait_after(2, 7.0)]
    assert backoff.wait_after(3) is None
    efforts.tell()
    assert told == [Effort(repeats=2, backed_off=sum(waits))]
    assert 7 <= waits[1] <= 8


def test_a_backoff_that_is_counted_has_the_limits_of_the_one_given(efforts):
    given = Backoff(attempts=7, first=0.1, cap=2, patience=5, away_cap=3, away_patience=9)
    counted = efforts.of_backoff(given)
    for name in ("attempts", "first", "cap", "patience", "away_cap", "away_patience"):
        assert getattr(counted, name) == getattr(given, name)


def test_what_was_told_is_not_told_again_and_nothing_is_not_told(efforts, told):
    efforts.asked(0.0, sent=True)
    efforts.tell()
    efforts.tell()
    efforts.asked(0.5, sent=True)
    efforts.tell()
    assert told == [Effort(requests=1), Effort(requests=1, waited=0.5)]


@pytest.mark.parametrize("other", ["counts", "tells"])
def test_what_one_thread_counts_is_not_lost_by_what_another_does_meanwhile(efforts, told, other):
    act = {"counts": lambda: efforts.asked(1.0, sent=True), "tells": efforts.tell}[other]
    thread = threading.Thread(target=act)

    class Meanwhile(float):
        """Seconds that let the other thread have its turn, if it can, while they are added."""

        def __radd__(self, so_far):
            thread.start()
            thread.join(0.2)
            return so_far + float(self)

    efforts.asked(Meanwhile(2.0), sent=True)
    thread.join()
    efforts.tell()
    requests, waited = (2, 3.0) if other == "counts" else (1, 2.0)
    assert sum(each.requests for each in told) == requests
    assert sum(each.waited for each in told) == waited
