from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fanfold.model import Basis, Quotas
from fanfold.stages.planning.forecast import (
    LATEST,
    QuotaWindow,
    forecast,
    quota_windows,
    requests_for,
    seconds_by_history,
)
from fanfold.workspace.history import Past

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAST = [Past("a", 100, 50.0)]


@pytest.mark.parametrize(
    ("requests", "second", "hour", "seconds"),
    [
        (100, 10, None, 10),
        (2500, 10, 1000, 2 * 3600 + 50),
        (2000, 10, 1000, 3600 + 100),
    ],
)
def test_the_forecast_follows_the_quota(requests, second, hour, seconds):
    found = forecast(requests, Quotas(second, hour), [], NOW)
    assert (found.seconds, found.basis) == (seconds, Basis.QUOTA)


def test_a_partly_used_quota_counts_from_now():
    """300 are left, renewed in 10 minutes, and then each hour: 300 + 1,000 + 200."""
    window = QuotaWindow(limit=1000, window=3600, remaining=300, reset_in=600)
    assert window.seconds(300, 100) == 3
    assert window.seconds(1500, 100) == 600 + 3600 + 2


def test_the_scarcest_quota_and_the_slower_of_quota_and_history_count():
    scarce = Quotas(
        per_hour=10**6,
        limit=10,
        remaining=10,
        reset_at=(NOW + timedelta(hours=1)).isoformat(),
        window=3600,
    )
    found = forecast(20, scarce, PAST, NOW)
    assert (found.seconds, found.basis) == (3600, Basis.QUOTA)
    found = forecast(100, Quotas(1000, 10**6), PAST, NOW)
    assert (found.seconds, found.basis) == (50, Basis.EARLIER_RUNS)


def test_a_pause_comes_before_the_first_request_and_is_often_that_of_the_quota():
    used_up = Quotas(
        limit=10, remaining=0, reset_at=(NOW + timedelta(minutes=30)).isoformat(), window=3600
    )
    for quotas, past, pause, seconds, basis in [
        (Quotas(10), [], 600, 610, Basis.QUOTA),
        (Quotas(), [], 600, 600, Basis.QUOTA),
        (Quotas(), PAST, 600, 650, Basis.EARLIER_RUNS),
        (used_up, [], 1800, 1800 + 9 * 3600, Basis.QUOTA),
    ]:
        found = forecast(100, quotas, past, NOW, pause=pause)
        assert (found.seconds, found.basis) == (seconds, basis)


def test_without_requests_or_a_scarce_quota_and_history_the_duration_is_unknown():
    for requests, quotas, past in [(0, Quotas(per_second=5), PAST), (7, Quotas(per_hour=1000), [])]:
        found = forecast(requests, quotas, past, NOW)
        assert (found.requests, found.seconds, found.basis) == (requests, None, Basis.UNKNOWN)


def test_runs_of_different_sizes_tell_what_a_run_costs_and_what_a_request_adds():
    past = [(n, 5 + n * 0.01) for n in (100, 1000, 5000)]
    assert seconds_by_history(10_000, past) == pytest.approx(105)
    assert seconds_by_history(200, past) == pytest.approx(7)


def test_runs_of_one_size_are_taken_in_proportion_and_never_below_what_they_took():
    past = [(1000, 10.0), (1000, 14.0)]
    assert seconds_by_history(3000, past) == 36
    assert seconds_by_history(10, past) == 12


@pytest.mark.parametrize(
    ("items", "size", "together", "requests"),
    [(10_000, 1250, 50, 200), (10_000, 1250, 1, 10_000), (101, 50, 50, 3), (0, 1, 1, 0)],
)
def test_items_that_are_asked_for_together_are_one_request(items, size, together, requests):
    assert requests_for(items, size, together) == requests


def test_only_the_latest_runs_count():
    past = [(100, 1000.0)] * 5 + [(100, 10.0)] * LATEST
    assert seconds_by_history(100, past) == 10.0
    assert seconds_by_history(100, [(0, 30.0)]) is None


def source_quota(reset_in):
    reset_at = NOW + timedelta(seconds=reset_in)
    return Quotas(limit=1000, remaining=400, reset_at=reset_at.isoformat(), window=3600.0)


@pytest.mark.parametrize(
    ("reset_in", "used", "remaining", "next_in"),
    [
        (600, 100, 300, 600),
        (600, 900, 0, 600),
        (-600, 100, 1000, 3000),
        (-7300, 100, 1000, 3500),
    ],
    ids=["some left", "more used than told", "renewed since", "renewed three times"],
)
def test_what_a_source_gave_goes_down_until_it_is_renewed(reset_in, used, remaining, next_in):
    quotas = source_quota(reset_in)
    found = quota_windows(quotas, used=used, elapsed=60, now=NOW, resumes_in=0)
    assert found == [QuotaWindow(1000, 3600, remaining, next_in)]


@pytest.mark.parametrize(
    ("elapsed", "used", "remaining", "next_in"),
    [(600, 100, 400, 3000), (600, 700, 0, 3000), (4200, 700, 300, 3000), (4200, 10, 500, 3000)],
)
def test_a_budget_by_the_hour_is_given_each_hour(elapsed, used, remaining, next_in):
    quotas = Quotas(per_second=10, per_hour=500)
    found = quota_windows(quotas, used=used, elapsed=elapsed, now=NOW, resumes_in=0)
    assert found == [QuotaWindow(500, 3600, remaining, next_in)]


def test_who_waits_has_nothing_left_until_then():
    found = quota_windows(source_quota(600), used=0, elapsed=60, now=NOW, resumes_in=90)
    assert found == [QuotaWindow(1000, 3600, 0, 90)]
    assert found[0].seconds(2500, 100) == 90 + 2 * 3600 + 5


def test_without_a_quota_there_is_no_allowance():
    assert quota_windows(Quotas(), used=5, elapsed=60, now=NOW, resumes_in=90) == []
    assert quota_windows(Quotas(limit=5), used=5, elapsed=60, now=NOW, resumes_in=0) == []
