from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fanfold.model import Basis, Quotas
from fanfold.stages.forecasting import (
    LATEST,
    Allowance,
    allowances_now,
    foretell,
    measured_seconds,
    requests_for,
)
from fanfold.workspace.history import Past


@pytest.mark.parametrize(
    ("requests", "second", "hour", "seconds"),
    [
        (100, 10, None, 10),
        (2500, 10, 1000, 2 * 3600 + 50),
        (2000, 10, 1000, 3600 + 100),
    ],
)
def test_the_forecast_follows_the_quota(requests, second, hour, seconds):
    allowances = [Allowance.hourly(hour)] if hour else []
    forecast = foretell(requests, requests_per_second=second, allowances=allowances, past=[])
    assert (forecast.seconds, forecast.basis) == (seconds, Basis.QUOTA)


def test_what_is_left_of_a_quota_is_counted_from_now():
    """300 are left, full again in 10 minutes, and then each hour: 300 + 1,000 + 200."""
    left = Allowance(limit=1000, window=3600, remaining=300, reset_in=600)
    assert left.seconds(300, 100) == 3
    assert left.seconds(1500, 100) == 600 + 3600 + 2


def test_the_scarcest_quota_and_the_slower_of_quota_and_past_count():
    plenty, scarce = Allowance.hourly(10**6), Allowance.hourly(10)
    past = [Past("a", 100, 50.0)]
    forecast = foretell(20, requests_per_second=None, allowances=[plenty, scarce], past=past)
    assert forecast.basis is Basis.QUOTA
    assert forecast.seconds == 3600
    forecast = foretell(100, requests_per_second=1000, allowances=[plenty], past=past)
    assert (forecast.seconds, forecast.basis) == (50, Basis.EARLIER_RUNS)


def test_a_run_without_requests_has_no_forecast():
    forecast = foretell(0, requests_per_second=5, allowances=[], past=[Past("a", 100, 50.0)])
    assert (forecast.requests, forecast.seconds, forecast.basis) == (0, None, Basis.UNKNOWN)


def test_without_a_scarce_quota_and_earlier_runs_there_is_no_forecast():
    forecast = foretell(7, requests_per_second=None, allowances=[Allowance.hourly(1000)], past=[])
    assert (forecast.requests, forecast.seconds, forecast.basis) == (7, None, Basis.UNKNOWN)


def test_runs_of_different_sizes_give_fixed_and_variable_time():
    past = [Past(str(n), n, 5 + n * 0.01) for n in (100, 1000, 5000)]
    assert measured_seconds(10_000, past) == pytest.approx(105)
    assert measured_seconds(200, past) == pytest.approx(7)


def test_runs_of_one_size_are_taken_in_proportion_and_never_below_what_they_took():
    past = [Past("a", 1000, 10.0), Past("b", 1000, 14.0)]
    assert measured_seconds(3000, past) == 36
    assert measured_seconds(10, past) == 12


@pytest.mark.parametrize(
    ("items", "size", "together", "requests"),
    [(10_000, 1250, 50, 200), (10_000, 1250, 1, 10_000), (101, 50, 50, 3), (0, 1, 1, 0)],
)
def test_items_that_are_asked_for_together_are_one_request(items, size, together, requests):
    assert requests_for(items, size, together) == requests


def test_an_earlier_run_without_requests_is_ignored():
    assert measured_seconds(100, [Past("a", 0, 30.0)]) is None


def test_only_the_latest_runs_count():
    past = [Past(str(number), 100, 1000.0) for number in range(5)]
    past += [Past(str(number), 100, 10.0) for number in range(LATEST)]
    assert measured_seconds(100, past) == 10.0


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


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
    ids=["some left", "more used than reported", "renewed since", "renewed three times"],
)
def test_a_reported_quota_decreases_until_its_reset(reset_in, used, remaining, next_in):
    quotas = source_quota(reset_in)
    found = allowances_now(quotas, used=used, elapsed=60, now=NOW, resumes_in=0)
    assert found == [Allowance(1000, 3600, remaining, next_in)]


@pytest.mark.parametrize(
    ("elapsed", "used", "remaining", "next_in"),
    [(600, 100, 400, 3000), (600, 700, 0, 3000), (4200, 700, 300, 3000), (4200, 10, 500, 3000)],
)
def test_a_budget_by_the_hour_is_given_each_hour(elapsed, used, remaining, next_in):
    quotas = Quotas(per_second=10, per_hour=500)
    found = allowances_now(quotas, used=used, elapsed=elapsed, now=NOW, resumes_in=0)
    assert found == [Allowance(500, 3600, remaining, next_in)]


def test_a_paused_connection_has_nothing_left_until_then():
    found = allowances_now(source_quota(600), used=0, elapsed=60, now=NOW, resumes_in=90)
    assert found == [Allowance(1000, 3600, 0, 90)]
    assert found[0].seconds(2500, 100) == 90 + 2 * 3600 + 5


def test_without_a_quota_there_is_no_allowance():
    assert allowances_now(Quotas(), used=5, elapsed=60, now=NOW, resumes_in=90) == []
    assert allowances_now(Quotas(limit=5), used=5, elapsed=60, now=NOW, resumes_in=0) == []
