from __future__ import annotations

from fanfold.stages.fetching.backoff import Backoff


def test_waits_grow_and_stay_below_their_cap():
    backoff = Backoff(attempts=50, first=0.5, cap=4)
    for attempt in range(1, 50):
        bound = min(4, 0.5 * 2 ** (attempt - 1))
        waits = [backoff.wait_after(attempt) for _ in range(200)]
        assert all(0 <= wait <= bound for wait in waits)
    assert max(waits) > 2
    assert len(set(waits)) > 100, "without jitter all threads come back at once"


def test_the_last_attempt_is_the_last():
    backoff = Backoff(attempts=3)
    assert backoff.wait_after(2) is not None
    assert backoff.wait_after(3) is None


def test_the_source_is_never_asked_before_it_allows():
    waits = [Backoff().wait_after(1, 7.0) for _ in range(200)]
    assert all(7 <= wait <= 8 for wait in waits)
