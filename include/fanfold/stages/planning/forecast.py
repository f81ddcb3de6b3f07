"""Forecast the duration of a run, and the time left of an active one.

Two things bound a fetch: its quotas, and the speed of earlier runs of the same DAG of like size. The
slower one is the forecast. Processing, consolidating, publishing, loading and reporting follow; how
long they take is known from these runs, too. All durations are ranges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from fanfold.model import Basis, Forecast
from fanfold.workspace.history import like_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.model import Plan, Quotas, Seconds
    from fanfold.workspace.history import Past

NEWEST = 5
"""Number of earlier runs that a forecast is based on."""
REST = (3.0, 30.0)
"""Seconds of the tasks after ``fetch`` if there is no earlier run: mostly the starts of the tasks."""
_TRIMMED = 4
"""From this number of runs on, the fastest and the slowest one are ignored."""
_MARGIN = 0.1
"""What a range is widened by: runs of the same size differ, too."""
_RETRY_DELAYS = 40.0
"""Seconds that a batch with failed items waits before its retries, together."""
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """A quota that is renewed in each window.

    Attributes:
        limit: Requests per window.
        window: Length of the window in seconds.
        remaining: Requests left in the current window.
        reset_in: Seconds until the next window.
    """

    limit: float
    window: float
    remaining: float
    reset_in: float

    def seconds(self, requests: int, rate: float) -> float:
        """Return the duration of a number of requests, including the waits for new windows.

        2,500 requests under 1,000 an hour take two full hours plus the time of the last 500.

        ``rate`` is in requests per second and may be infinite.
        """
        if requests <= self.remaining:
            return requests / rate
        later = requests - self.remaining
        windows = math.ceil(later / self.limit)
        rest = later - (windows - 1) * self.limit
        return max(self.reset_in, self.remaining / rate) + (windows - 1) * self.window + rest / rate


def forecast(  # noqa: PLR0913 - what a duration depends on
    requests: int,
    quotas: Quotas,
    past: Sequence[Past],
    now: datetime,
    *,
    items: int = 0,
    size: int = 0,
    pause: float = 0.0,
) -> Forecast:
    """Return the forecast of a run, from its plan to its end.

    Args:
        requests: Number of its requests.
        quotas: Its quotas.
        past: Earlier runs, oldest first.
        now: The current time.
        items: Number of its items.
        size: Their size in bytes, if they are files.
        pause: Seconds until the first request may be sent.
    """
    rate = quotas.per_second or math.inf
    windows = quota_windows(quotas, now=now)
    # A quota that is not used up does not bound the duration.
    slowest = max([pause + requests / rate, *(each.seconds(requests, rate) for each in windows)])
    suggested = by_earlier_runs(past, items, size)
    if not suggested and not slowest:
        return Forecast(requests, None, Basis.UNKNOWN)
    (low, high), rest = suggested or ((0.0, 0.0), REST)
    basis = Basis.EARLIER_RUNS if pause + high > slowest else Basis.QUOTA
    fetching = max(slowest, pause + low), max(slowest, pause + high)
    return Forecast(requests, _sum(fetching, rest), basis)


def by_earlier_runs(
    past: Sequence[Past], items: int, size: int = 0
) -> tuple[Seconds, Seconds] | None:
    """Return how long fetching and what follows took in the newest runs of like size.

    If there are none, the runs that are nearest in size decide. Of a run with other numbers it is
    assumed that the larger one takes as long as the smaller one at least, and in proportion at most.

    Args:
        past: Earlier runs, oldest first.
        items: Number of items.
        size: Their size in bytes, if they are files.

    Returns:
        Two ranges in seconds; None if there is no earlier run.
    """
    # A run that was cleared with an emptied list keeps the duration of its first fetch.
    known = [each for each in past if each.fetching and each.counts.planned]
    if not known or not items:
        return None
    nearest = min(known, key=lambda each: abs(math.log(each.counts.planned / items)))
    runs = (like_size(known, items) or like_size(known, nearest.counts.planned))[-NEWEST:]
    ratios = [
        (1.0, items / each.counts.planned, *([size / each.bytes] if size and each.bytes else []))
        for each in runs
    ]
    rest = [each.seconds - each.fetching + each.after for each in runs]
    return _range([each.fetching for each in runs], ratios), _range(rest, ratios)


def _range(found: Sequence[float], ratios: Sequence[tuple[float, ...]]) -> Seconds:
    """Return the range of some durations, each with the ratios between which it may grow."""
    runs = sorted(zip(found, ratios, strict=True))
    runs = runs[1:-1] if len(runs) >= _TRIMMED else runs
    low = min(seconds * min(each) for seconds, each in runs)
    high = max(seconds * max(each) for seconds, each in runs)
    return low * (1 - _MARGIN), high * (1 + _MARGIN)


def _sum(first: Seconds, second: Seconds) -> Seconds:
    return first[0] + second[0], first[1] + second[1]


@dataclass(frozen=True, slots=True)
class FetchState:
    """How far the fetch of a run is.

    Attributes:
        waiting: Items without an outcome.
        failed: Failed items that a retry may fetch again.
        requests: Requests made since the plan.
        speeds: Items per second: now and on average, as far as they are known.
        pause: Seconds until the first batch that waits for a quota resumes.
        elapsed: Seconds since the plan, or since a redrive.
        idle: Seconds since the last item was fetched, or since a redrive.
    """

    waiting: int
    failed: int
    requests: int
    speeds: tuple[float, ...]
    pause: float
    elapsed: float
    idle: float


def time_left(
    plan: Plan, past: Sequence[Past], state: FetchState, now: datetime
) -> tuple[Seconds, str] | None:
    """Return the seconds to the end of an active run and what they are based on.

    The low end assumes the higher speed and no retry, the high end the lower one, and that each failed
    item is fetched again, after the delays of its batch's retries.

    Returns:
        Low and high, and `speed`, `quota` or `forecast`; None if unknown.
    """
    suggested = by_earlier_runs(past, plan.items, plan.bytes)
    rest = suggested[1] if suggested else REST
    most = state.waiting + state.failed
    if not most:
        return _not_before(0.0, rest, state.idle)
    if state.speeds:
        fast, slow = max(state.speeds), min(state.speeds)
        delays = _RETRY_DELAYS if state.failed else 0.0
        by_speed = state.pause + state.waiting / fast, state.pause + delays + most / slow
        by_quota = (
            _by_quota(plan, state, state.waiting, fast, now),
            _by_quota(plan, state, most, slow, now),
        )
        # For one quota and one pause both are the same, except for rounding.
        basis = "quota" if by_quota[1] > by_speed[1] + 1 else "speed"
        fetching = max(by_speed[0], by_quota[0]), max(by_speed[1], by_quota[1])
        return _sum(fetching, rest), basis
    if state.waiting == plan.items and plan.forecast.seconds:
        return _not_before(state.pause, plan.forecast.seconds, state.elapsed)
    if some := by_earlier_runs(past, most):
        return _not_before(state.pause, _sum(some[0], rest), state.elapsed)
    return None


def _not_before(pause: float, expected: Seconds, elapsed: float) -> tuple[Seconds, str] | None:
    """Return what is left of an expected duration; None if it is exceeded."""
    low, high = (each - elapsed for each in expected)
    return ((max(pause, low), max(pause, high)), "forecast") if high > 0 else None


def _by_quota(plan: Plan, state: FetchState, items: int, speed: float, now: datetime) -> float:
    """Return the seconds for some items under the quotas, at a speed in items per second."""
    together = plan.items_per_request
    windows = quota_windows(
        plan.quotas,
        used=state.requests,
        # Since the plan, like the count of requests; also in a redrive.
        elapsed=(now - datetime.fromisoformat(plan.started_at)).total_seconds(),
        now=now,
        resumes_in=state.pause,
    )
    steps = plan.requests_per_item
    requests, rate = steps * math.ceil(items / together), steps * speed / together
    return max((each.seconds(requests, rate) for each in windows), default=0.0)


def quota_windows(
    quotas: Quotas,
    *,
    now: datetime,
    used: int = 0,
    elapsed: float = 0.0,
    resumes_in: float = 0.0,
) -> list[QuotaWindow]:
    """Return what is left of a run's quotas.

    Requests ``used`` and seconds ``elapsed`` count from the plan; ``resumes_in`` is the rest of a
    wait for a quota, in seconds.
    """
    found = []
    if quotas.per_hour is not None:
        hours, within = divmod(elapsed, _HOUR)
        left = quotas.per_hour * (hours + 1) - used
        found.append(
            QuotaWindow(
                quotas.per_hour, _HOUR, min(quotas.per_hour, max(0.0, left)), _HOUR - within
            )
        )
    if quotas.limit and quotas.window and quotas.reset_at:
        reset_in = (datetime.fromisoformat(quotas.reset_at) - now).total_seconds()
        remaining = float(max(0, (quotas.remaining or 0) - used))
        if reset_in <= 0:
            # Renewed since; what other clients of the token used is unknown.
            remaining = float(quotas.limit)
            reset_in %= quotas.window
        found.append(QuotaWindow(quotas.limit, quotas.window, remaining, reset_in))
    if resumes_in:
        return [replace(each, remaining=0.0, reset_in=resumes_in) for each in found]
    return found


def requests_for(items: int, batch_size: int, items_per_request: int) -> int:
    """Return the number of requests for some items; a request never spans two batches."""
    whole, rest = divmod(items, batch_size)
    return whole * math.ceil(batch_size / items_per_request) + math.ceil(rest / items_per_request)
