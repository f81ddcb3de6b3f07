"""Back-off of failed requests: how long, and for which cause."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fanfold.errors import FanfoldError

if TYPE_CHECKING:
    from fanfold.errors import QuotaSpent, SourceBusy
    from fanfold.sources import Session

DEFAULT_RESET = 300.0
"""Seconds to wait if the source does not report when its quota is renewed."""
MAX_PAUSE = 3600.0
"""Longest pause in seconds, whatever the source requests: an hourly quota is renewed by then."""
UNAVAILABLE = "unavailable"
"""Cause: the source gives no response."""


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


def cause_of(error: SourceBusy) -> str:
    """Return why a request failed, in a word: an HTTP status, the code of a service or source, or ``unavailable``."""
    params = error.message.params
    found = params.get("status") or params.get("code")
    return str(found) if found else UNAVAILABLE if error.unavailable else "invalid response"


def overload_of(error: SourceBusy) -> str | None:
    """Return how the source showed an overload: ``429``, ``503``, :data:`UNAVAILABLE` or None."""
    if error.overloaded:  # by functions with codes of their own, too
        return "503" if cause_of(error) == "503" else "429"
    return UNAVAILABLE if error.unavailable else None


def pause_of(error: QuotaSpent, session: Session) -> float:
    """Return the seconds until a quota is renewed: as reported with the error, else by the source, else a default."""
    seconds = error.retry_after
    if seconds is None and error.reset_at is not None:
        seconds = (error.reset_at - datetime.now(UTC)).total_seconds()
    if seconds is None:
        try:
            quota = session.quota()
        except FanfoldError:
            quota = None
        seconds = DEFAULT_RESET if quota is None or quota.reset_in is None else quota.reset_in
    # A second more: clocks differ, and resets are reported in whole seconds.
    return max(0.0, seconds) + 1.0
