"""Forecast the requests and the duration of a run.

Two things bound a run: its quotas, and the speed of earlier runs of the same DAG. The slower one is
the forecast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from fanfold.model import Basis, Forecast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.model import Quotas
    from fanfold.workspace.history import Past

LATEST = 20
"""Number of earlier runs that the forecast is based on."""
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
    """Return the forecast of a run.

    Without requests, earlier runs are compared by their number of ``items``; runs of files also by
    their ``size`` in bytes. ``pause`` is the time in seconds until the first request may be sent.
    """
    rate = quotas.per_second or math.inf
    windows = quota_windows(quotas, now=now)
    found: list[tuple[float, Basis]] = []
    if quotas.per_second is not None or windows or pause:
        slowest = max(
            [pause + requests / rate, *(each.seconds(requests, rate) for each in windows)]
        )
        # A quota that is not used up does not bound the duration.
        if slowest > 0:
            found.append((slowest, Basis.QUOTA))
    if requests:
        measured = seconds_by_history(requests, [(run.requests, run.seconds) for run in past])
    else:
        measured = seconds_by_history(items, [(run.counts.planned, run.seconds) for run in past])
    by_size = seconds_by_history(size, [(run.bytes, run.seconds) for run in past])
    found += [
        (each + pause, Basis.EARLIER_RUNS) for each in (measured, by_size) if each is not None
    ]
    seconds, basis = max(found, default=(None, Basis.UNKNOWN))
    return Forecast(requests, seconds, basis)


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


def seconds_by_history(size: int, past: Sequence[tuple[int, float]]) -> float | None:
    """Return the duration that earlier runs suggest, or None if there are none.

    Runs of different sizes give a least-squares line: a cost per run and a cost per request or
    item. If all had the same size, a smaller run is assumed to take as long, a larger one
    proportionally longer.

    Args:
        size: Number of requests, items or bytes of the run.
        past: Number and duration in seconds of each earlier run, oldest first; runs without any are
            ignored.
    """
    past = [(run, seconds) for run, seconds in past if run and seconds > 0][-LATEST:]
    if not past or not size:
        return None
    mean_x = sum(run for run, _ in past) / len(past)
    mean_y = sum(seconds for _, seconds in past) / len(past)
    variance = sum((run - mean_x) ** 2 for run, _ in past)
    if variance:
        covariance = sum((run - mean_x) * (seconds - mean_y) for run, seconds in past)
        slope = max(0.0, covariance / variance)
        return max(mean_y + slope * (size - mean_x), min(seconds for _, seconds in past))
    return mean_y * max(1.0, size / mean_x)
