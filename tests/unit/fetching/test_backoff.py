from __future__ import annotations

import pytest

from fanfold.errors import SourceBusy
from fanfold.fetching.backoff import Backoff

BUSY = SourceBusy("busy")


def test_waits_grow_and_stay_below_their_cap():
    backoff = Backoff(attempts=50, first=0.5, cap=4)
    for attempt in range(1, 50):
        bound = min(4, 0.5 * 2 ** (attempt - 1))
        waits = [backoff.wait_after(attempt, BUSY) for _ in range(200)]
        assert all(0 <= wait <= bound for wait in waits)
    assert max(waits) > 2
    assert len(set(waits)) > 100, "without jitter all threads come back at once"


def test_the_last_attempt_is_the_last():
    backoff = Backoff(attempts=3)
    assert backoff.wait_after(2, BUSY) is not None
    assert backoff.wait_after(3, BUSY) is None


def test_the_source_is_never_asked_before_it_allows():
    waits = [Backoff().wait_after(1, SourceBusy("busy", retry_after=7)) for _ in range(200)]
    assert all(7 <= wait <= 8 for wait in waits)


@pytest.mark.parametrize("asked", [61, 10**9])
def test_a_thread_does_not_wait_longer_than_its_patience(asked):
    assert Backoff(patience=60).wait_after(1, SourceBusy("busy", retry_after=asked)) is None
