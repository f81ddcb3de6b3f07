"""The circuit breaker: when requests wait, for how long, and what closes it."""

from __future__ import annotations

from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.circuit_breaker import CircuitBreaker

BACKOFF = Backoff(first=1, max_probe_wait=4)


def test_only_errors_in_a_row_without_a_response_count():
    breaker = CircuitBreaker()
    errors = [breaker.record_error(unavailable=each) for each in (True, True, False, True)]
    assert errors == [1, 2, 0, 1]


def test_failed_probes_wait_longer_up_to_a_cap_and_the_outage_is_measured_from_the_first():
    breaker = CircuitBreaker()
    outages, waits = [], []
    for now in (100.0, 110.0, 120.0, 130.0):
        outages.append(breaker.record_probe(now, BACKOFF, unavailable=True))
        waits.append(breaker.retry_at - now)
    assert outages == [0, 10, 20, 30]
    assert all(cap / 2 <= wait <= cap for wait, cap in zip(waits, (1, 2, 4, 4), strict=True))
    assert breaker.is_open


def test_a_response_or_a_successful_probe_closes_it():
    for close in (
        lambda breaker: breaker.record_response(),
        lambda breaker: breaker.record_probe(2, BACKOFF, unavailable=False),
    ):
        breaker = CircuitBreaker()
        breaker.record_probe(1, BACKOFF, unavailable=True)
        close(breaker)
        assert breaker == CircuitBreaker()
