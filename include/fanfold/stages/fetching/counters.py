"""Counters of a fetch's requests and waits, reported while it runs."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Counters:
    """Counts since the last report; each request is counted once.

    Attributes:
        requests: Requests sent for items.
        retries: Failed requests that are repeated.
        waited: Seconds that requests waited for a permit: for the rate limit or a pause. A sum over
            requests, not elapsed time.
        backed_off: Seconds of back-off before retries, likewise a sum.
    """

    requests: int = 0
    retries: int = 0
    waited: float = 0.0
    backed_off: float = 0.0


class RequestCounters:
    """Collects the counts of all threads of a fetch.

    ``report`` receives the counts since the last report, in the thread that calls :meth:`flush`.

    Attributes:
        retries: Failed requests that were repeated since the start of the fetch, by cause.
    """

    def __init__(self, report: Callable[[Counters], None]) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._counts = Counters()
        self.retries: Counter[str] = Counter()

    def permit(self, waited: float, *, granted: bool) -> None:
        """Count a request that waited for a permit for some seconds."""
        with self._lock:
            self._counts.requests += granted
            self._counts.waited += waited

    def retry(self, delay: float, cause: str) -> None:
        """Count a request that is repeated after some seconds."""
        with self._lock:
            self.retries[cause] += 1
            self._counts.retries += 1
            self._counts.backed_off += delay

    def flush(self) -> None:
        """Report the counts since the last report, if there are any."""
        with self._lock:
            counts, self._counts = self._counts, Counters()
        if counts != Counters():
            self._report(counts)
