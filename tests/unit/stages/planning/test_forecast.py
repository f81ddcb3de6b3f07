from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fanfold.model import Basis, Counts, Forecast, Plan, Quotas
from fanfold.stages.planning.forecast import (
    FetchState,
    QuotaWindow,
    by_earlier_runs,
    forecast,
    quota_windows,
    requests_for,
    time_left,
)
from fanfold.workspace.history import Past

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


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
    assert (found.seconds, found.basis) == ((seconds + 3, seconds + 30), Basis.QUOTA)


def test_a_partly_used_quota_counts_from_now():
    """300 are left, renewed in 10 minutes, and then each hour: 300 + 1,000 + 200."""
    window = QuotaWindow(limit=1000, window=3600, remaining=300, reset_in=600)
    assert window.seconds(300, 100) == 3
    assert window.seconds(1500, 100) == 600 + 3600 + 2


def test_the_slowest_of_pause_quotas_and_earlier_runs_counts():
    """Of a run of 100 items that fetched for 40 s and took 10 s afterwards, both give or take a tenth."""
    reset = (NOW + timedelta(hours=1)).isoformat()
    scarce = Quotas(per_hour=10**6, limit=10, remaining=10, reset_at=reset, window=3600)
    past = [run(100, fetching=40, rest=10)]
    for requests, quotas, pause, expected, basis in [
        (20, scarce, 0, (3609, 3611), Basis.QUOTA),
        (100, Quotas(1000, 10**6), 0, (45, 55), Basis.EARLIER_RUNS),
        (100, Quotas(), 600, (645, 655), Basis.EARLIER_RUNS),
    ]:
        found = forecast(requests, quotas, past, NOW, items=100, pause=pause)
        assert (found.seconds, found.basis) == (pytest.approx(expected), basis)
    assert forecast(100, Quotas(), [], NOW, pause=600).seconds == (603, 630)


def test_without_earlier_runs_and_a_scarce_quota_the_duration_is_unknown():
    """A run that failed, or one of another version, tells nothing."""
    for requests, quotas, past in [
        (0, Quotas(per_second=5), [run(9, 0, 9)]),
        (7, Quotas(None, 1000), []),
    ]:
        found = forecast(requests, quotas, past, NOW, items=9)
        assert (found.requests, found.seconds, found.basis) == (requests, None, Basis.UNKNOWN)


def run(items, fetching, rest, **fields):
    counts = Counts(items, items)
    return Past(
        "", 0, fetching + rest / 2, counts=counts, fetching=fetching, after=rest / 2, **fields
    )


def test_the_newest_runs_of_like_size_decide_without_the_fastest_and_the_slowest():
    like = [run(100, fetching, 10) for fetching in (9000, 40, 30, 35, 3600, 50)]
    others = [run(5, 2, 5), run(1000, 300, 60)]
    fetching, rest = by_earlier_runs([*like, *others], 100)
    assert fetching == pytest.approx((35 * 0.9, 50 * 1.1))
    assert rest == pytest.approx((9, 11))


def test_of_runs_of_other_sizes_the_nearest_decide_between_their_own_time_and_the_proportion():
    past = [run(5, 2, 5), run(1000, 300, 60)]
    fetching, rest = by_earlier_runs(past, 3000)
    assert fetching == pytest.approx((300 * 0.9, 900 * 1.1))
    assert rest == pytest.approx((60 * 0.9, 180 * 1.1))
    assert by_earlier_runs(past, 300)[0] == pytest.approx((90 * 0.9, 300 * 1.1))
    # Ten times the bytes in as many files.
    (low, high), _ = by_earlier_runs([run(100, 30, 5, bytes=10**6)], 100, 10**7)
    assert (low, high) == pytest.approx((27, 330))


def plan(quotas=Quotas(), seconds=None):  # noqa: B008 - frozen
    expected = Forecast(100, seconds, Basis.EARLIER_RUNS)
    then = (NOW - timedelta(seconds=30)).isoformat()
    return Plan("x", 100, 0, (0,), then, then, expected, quotas=quotas)


def test_a_run_that_was_cleared_with_an_emptied_list_tells_nothing():
    emptied = run(0, fetching=40, rest=10)
    assert by_earlier_runs([emptied], 10) is None
    assert by_earlier_runs([*PAST, emptied], 100) == by_earlier_runs(PAST, 100)


PAST = [run(100, fetching=40, rest=10)]
FETCHING = FetchState(40, failed=20, requests=60, speeds=(2, 1), pause=0, elapsed=30, idle=0)


def left(state=FETCHING, *, past=PAST, **fields):
    found = time_left(plan(**fields), past, state, NOW)
    return found and (tuple(round(each) for each in found[0]), found[1])


def test_the_time_left_is_to_the_end_of_the_run_with_retries_of_the_failed_items():
    assert left() == ((20 + 9, 40 + 60 + 11), "speed")
    assert left(replace(FETCHING, pause=100)) == ((120 + 9, 40 + 160 + 11), "speed")
    assert left(past=()) == ((20 + 3, 40 + 60 + 30), "speed")
    # 60 of 60 an hour are spent: the next 40 or 60 come after the rest of the hour.
    assert left(quotas=Quotas(per_hour=60)) == ((3570 + 20 + 9, 3570 + 60 + 11), "quota")


def test_before_the_first_item_the_forecast_tells_and_after_the_last_one_what_follows():
    nothing = replace(FETCHING, waiting=100, failed=0, requests=0, speeds=())
    assert left(nothing, seconds=(45, 55)) == ((15, 25), "forecast")
    assert left(replace(nothing, elapsed=60), seconds=(45, 55)) is None
    assert left(replace(nothing, waiting=50, elapsed=5), seconds=(45, 55)) == ((22, 50), "forecast")
    done = replace(nothing, waiting=0, idle=4)
    assert left(done) == ((5, 7), "forecast")
    assert left(replace(done, idle=20)) is None


@pytest.mark.parametrize(
    ("items", "size", "together", "requests"),
    [(10_000, 1250, 50, 200), (10_000, 1250, 1, 10_000), (101, 50, 50, 3), (0, 1, 1, 0)],
)
def test_items_that_are_asked_for_together_are_one_request(items, size, together, requests):
    assert requests_for(items, size, together) == requests


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
