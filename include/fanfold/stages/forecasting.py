"""Foretell how many requests a run makes and how long it takes.

Two things bound a run: what the quota allows, and how fast earlier runs of the same DAG were. The
slower one is the forecast.
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
"""Earlier runs that count."""
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """A quota that is given anew in each window.

    Attributes:
        limit: Requests in a window.
        window: Its length in seconds.
        remaining: What is left of the present one.
        reset_in: Seconds until the next one starts.
    """

    limit: float
    window: float
    remaining: float
    reset_in: float

    @classmethod
    def hourly(cls, requests_per_hour: float) -> Allowance:
        """Return a quota by the hour, of which nothing is spent."""
        return cls(requests_per_hour, _HOUR, requests_per_hour, _HOUR)

    def seconds(self, requests: int, pace: float) -> float:
        """Return how long requests take at a pace (requests per second; infinite: no time).

        A spent window is waited for: 2,500 requests under 1,000 an hour take two full hours and
        what the last 500 take.
        """
        if requests <= self.remaining:
            return requests / pace
        later = requests - self.remaining
        windows = math.ceil(later / self.limit)
        rest = later - (windows - 1) * self.limit
        return max(self.reset_in, self.remaining / pace) + (windows - 1) * self.window + rest / pace


def foretell(
    requests: int,
    *,
    requests_per_second: float | None,
    allowances: Sequence[Allowance],
    past: Sequence[Past],
) -> Forecast:
    """Return the forecast of a run.

    Args:
        requests: Requests that it needs, if none fails.
        requests_per_second: Budget of the connection or the run, or None.
        allowances: Quotas that are given in windows; the scarcest one counts.
        past: Earlier runs of the same DAG.
    """
    pace = requests_per_second or math.inf
    found: list[tuple[float, Basis]] = []
    if requests_per_second is not None or allowances:
        slowest = max(
            (each.seconds(requests, pace) for each in allowances), default=requests / pace
        )
        # A quota that is nowhere near spent says nothing about time.
        if slowest > 0:
            found.append((slowest, Basis.QUOTA))
    measured = measured_seconds(requests, past) if requests else None
    if measured is not None:
        found.append((measured, Basis.EARLIER_RUNS))
    seconds, basis = max(found, default=(None, Basis.UNKNOWN))
    return Forecast(requests, seconds, basis)


def allowances_now(
    quotas: Quotas, *, used: int, elapsed: float, now: datetime, resumes_in: float
) -> list[Allowance]:
    """Return what is left of a run's quotas while it is on, by its own requests since the plan.

    Args:
        quotas: As they were when the run was planned.
        used: Requests made since then.
        elapsed: Seconds since then.
        now: The present (UTC).
        resumes_in: Seconds for which the run waits because a quota is spent; 0 where it does not.
    """
    found = []
    if quotas.per_hour is not None:
        hours, within = divmod(elapsed, _HOUR)
        left = quotas.per_hour * (hours + 1) - used
        found.append(
            Allowance(quotas.per_hour, _HOUR, min(quotas.per_hour, max(0.0, left)), _HOUR - within)
        )
    if quotas.limit and quotas.window and quotas.reset_at:
        reset_in = (datetime.fromisoformat(quotas.reset_at) - now).total_seconds()
        remaining = float(max(0, (quotas.remaining or 0) - used))
        if reset_in <= 0:
            # Nobody has said since then what others have used.
            remaining = float(quotas.limit)
            reset_in %= quotas.window
        found.append(Allowance(quotas.limit, quotas.window, remaining, reset_in))
    if resumes_in:
        return [replace(each, remaining=0.0, reset_in=resumes_in) for each in found]
    return found


def requests_for(items: int, batch_size: int, items_per_request: int) -> int:
    """Return the requests of a run whose batches ask for several items at once."""
    whole, rest = divmod(items, batch_size)
    return whole * math.ceil(batch_size / items_per_request) + math.ceil(rest / items_per_request)


def measured_seconds(requests: int, past: Sequence[Past]) -> float | None:
    """Return the seconds that earlier runs let expect, or None where there are none.

    Runs of different sizes give a line (least squares): what each run costs, and what each request
    adds. Where all had the same size, fewer requests are taken to need as long, more to need
    proportionally longer.

    Args:
        requests: Requests that the run needs.
        past: Earlier runs, oldest first; the latest count, without those that asked for nothing.
    """
    past = [run for run in past if run.requests and run.seconds > 0][-LATEST:]
    if not past:
        return None
    mean_x = sum(run.requests for run in past) / len(past)
    mean_y = sum(run.seconds for run in past) / len(past)
    spread = sum((run.requests - mean_x) ** 2 for run in past)
    if spread:
        together = sum((run.requests - mean_x) * (run.seconds - mean_y) for run in past)
        slope = max(0.0, together / spread)
        return max(mean_y + slope * (requests - mean_x), min(run.seconds for run in past))
    return mean_y * max(1.0, requests / mean_x) if mean_x else mean_y
