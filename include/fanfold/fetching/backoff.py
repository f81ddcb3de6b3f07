"""How long to wait before a failed request is repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanfold.errors import SourceBusy

if TYPE_CHECKING:
    from fanfold.errors import Retriable


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter and a cap.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter makes the
    fewest requests until a busy server has answered all.

    Attributes:
        attempts: Requests for one item in one fetch, the first included.
        first: Upper bound of the first wait, in seconds; it doubles with each attempt.
        cap: Upper bound of any wait, in seconds.
        patience: Longest ``Retry-After`` that a thread waits for, in seconds; an item whose source
            asks for more fails for now, and the task's retry tries it again.
    """

    attempts: int = 5
    first: float = 0.5
    cap: float = 30.0
    patience: float = 60.0

    def wait_after(self, attempt: int, error: Retriable) -> float | None:
        """Return the seconds to wait after the given attempt failed, or None to give up."""
        if attempt >= self.attempts:
            return None
        asked = error.retry_after if isinstance(error, SourceBusy) else None
        jitter = random.uniform(0, min(self.cap, self.first * 2 ** (attempt - 1)))  # noqa: S311
        if asked is None:
            return jitter
        # Never before the source allows it; spread, so that not all threads come back at once.
        return None if asked > self.patience else asked + min(jitter, 1.0)
