"""Circuit breaker: while the source gives no response at all, only probes are sent."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fanfold.stages.fetching.backoff import Backoff


@dataclass(slots=True)
class CircuitBreaker:
    """State of the breaker. Not thread-safe: its owner holds a lock.

    Closed, all requests pass. A probe that finds the source unavailable opens the breaker: all
    requests wait until ``retry_at``. Then it is half-open: requests pass, and the next error
    without a response is followed by another probe. A response or a successful probe closes it.

    Attributes:
        errors: Consecutive requests without a response.
        open_since: Monotonic time of the first failed probe, or None if closed.
        failed_probes: Consecutive failed probes.
        retry_at: Monotonic time until which all requests wait.
    """

    errors: int = 0
    open_since: float | None = None
    failed_probes: int = 0
    retry_at: float = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether the last probe failed and no response has been received since."""
        return self.open_since is not None

    def record_response(self) -> None:
        """Close the breaker."""
        self.errors = self.failed_probes = 0
        self.open_since = None
        self.retry_at = float("-inf")

    def record_error(self, *, unavailable: bool) -> int:
        """Record a failed request; return the number of consecutive ones without a response."""
        self.errors = self.errors + 1 if unavailable else 0
        return self.errors

    def record_probe(self, now: float, backoff: Backoff, *, unavailable: bool) -> float:
        """Record a probe; return the seconds for which the source has been unavailable."""
        if not unavailable:
            self.record_response()
            return 0.0
        self.open_since = now if self.open_since is None else self.open_since
        longest = min(backoff.max_probe_wait, backoff.first * 2**self.failed_probes)
        self.failed_probes += 1
        self.retry_at = now + random.uniform(longest / 2, longest)  # noqa: S311
        return now - self.open_since
