"""How long to wait before a failed request is repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter and a cap.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter makes the
    fewest requests until a busy server has answered all.

    Attributes:
        attempts: Requests for one item in one fetch, the first included.
        first: Upper bound of the first wait, in seconds; it doubles with each attempt.
        cap: Upper bound of any wait, in seconds.
        patience: Longest wait for which the threads stay, in seconds, where the source asks for it;
            for a longer one the task gives its slot back.
        away_cap: Upper bound of the wait between two looks at a source that is away, in seconds.
        away_patience: How long a source may be away, in seconds, until the task fails and leaves
            the rest to its retry.
    """

    attempts: int = 5
    first: float = 0.5
    cap: float = 30.0
    patience: float = 60.0
    away_cap: float = 10.0
    away_patience: float = 300.0

    def wait_after(self, attempt: int, asked: float | None = None) -> float | None:
        """Return the seconds to wait after the given attempt failed, or None to give up.

        Args:
            attempt: Its number, from 1.
            asked: The ``Retry-After`` of the answer, in seconds.
        """
        if attempt >= self.attempts:
            return None
        jitter = random.uniform(0, min(self.cap, self.first * 2 ** (attempt - 1)))  # noqa: S311
        if asked is None:
            return jitter
        # Never before the source allows it; spread, so that not all threads come back at once.
        return asked + min(jitter, 1.0)
