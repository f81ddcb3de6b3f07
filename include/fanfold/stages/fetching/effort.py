"""What a fetch costs, told while it goes on: requests, repeats, and how long they waited."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fanfold.stages.fetching.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.messages import Message
    from fanfold.rate_limit import RateLimiter


@dataclass(slots=True)
class Effort:
    """What a fetch did since it last told: each request is told once, whatever came of it.

    Attributes:
        requests: Requests for items that were sent.
        repeats: Requests that failed and were put back to be repeated.
        waited: Seconds for which requests waited for leave: for the budget, for a quota that is
            soon full again, for the end of a ``Retry-After``. A sum over requests, not clock time.
        backed_off: Seconds after which the failed ones were to be repeated, summed likewise.
    """

    requests: int = 0
    repeats: int = 0
    waited: float = 0.0
    backed_off: float = 0.0


class Efforts:
    """Adds up what the threads of a fetch do.

    Args:
        tell: Takes what is new, in the thread that calls :meth:`tell`.
    """

    def __init__(self, tell: Callable[[Effort], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._new = Effort()

    def of_limiter(self, limiter: RateLimiter) -> RateLimiter:
        """Return a budget that gives leave as the given one does, and is counted here."""
        return _Limiter(limiter, self)

    def of_backoff(self, backoff: Backoff) -> Backoff:
        """Return a back-off with the same waits, which are counted here."""
        return _Backoff(backoff, self)

    def asked(self, waited: float, *, sent: bool) -> None:
        """Count a request that waited so many seconds for leave, and got it or did not."""
        with self._lock:
            self._new.requests += sent
            self._new.waited += waited

    def repeated(self, after: float) -> None:
        """Count a request that is repeated after so many seconds."""
        with self._lock:
            self._new.repeats += 1
            self._new.backed_off += after

    def tell(self) -> None:
        """Hand over what is new, if anything is."""
        with self._lock:
            new, self._new = self._new, Effort()
        if new != Effort():
            self._tell(new)


class _Limiter:
    def __init__(self, limiter: RateLimiter, efforts: Efforts) -> None:
        self._limiter = limiter
        self._efforts = efforts

    def acquire(self, stop: threading.Event) -> bool:
        began = time.monotonic()
        leave = False
        try:
            leave = self._limiter.acquire(stop)
        finally:
            # A wait that ended in no leave was a wait.
            self._efforts.asked(time.monotonic() - began, sent=leave)
        return leave

    def pause(self, seconds: float, reason: Message) -> None:
        self._limiter.pause(seconds, reason)


class _Backoff(Backoff):
    _efforts: Efforts

    def __init__(self, backoff: Backoff, efforts: Efforts) -> None:
        super().__init__(**asdict(backoff))
        # The way round a frozen dataclass; this is none of its fields.
        object.__setattr__(self, "_efforts", efforts)

    def wait_after(self, attempt: int, asked: float | None = None) -> float | None:
        wait = super().wait_after(attempt, asked)
        if wait is not None:
            self._efforts.repeated(wait)
        return wait
