"""Back-off of failed requests."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter and a cap.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        attempts: Maximum number of requests for an item in one fetch.
        first: Upper bound of the first wait in seconds; it doubles with each attempt.
        cap: Upper bound of any wait in seconds.
        max_wait: Longest pause in seconds, as requested by the source, that the threads wait for;
            for a longer one the task defers.
        max_probe_wait: Upper bound of the wait between two probes of an unavailable source.
        max_outage: Seconds for which the source may be unavailable before the task fails.
    """

    attempts: int = 5
    first: float = 0.5
    cap: float = 30.0
    max_wait: float = 60.0
    max_probe_wait: float = 10.0
    max_outage: float = 300.0

    def wait_after(self, attempt: int, retry_after: float | None = None) -> float | None:
        """Return the seconds to wait after a failed attempt, or None to give up.

        Attempts count from 1; ``retry_after`` is that of the response, in seconds.
        """
        if attempt >= self.attempts:
            return None
        jitter = random.uniform(0, min(self.cap, self.first * 2 ** (attempt - 1)))  # noqa: S311
        if retry_after is None:
            return jitter
        # Never before the source allows it, and not all threads at the same moment.
        return retry_after + min(jitter, 1.0)
