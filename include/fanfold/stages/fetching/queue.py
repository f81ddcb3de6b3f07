"""The requests of a batch: which one is next and when, shared by the threads of a fetch."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fanfold.stages.fetching.backoff import UNAVAILABLE

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from fanfold.model import Item
    from fanfold.sources import Page, Record
    from fanfold.stages.fetching.backoff import Backoff
    from fanfold.stages.fetching.circuit_breaker import CircuitBreaker
    from fanfold.stages.fetching.concurrency import AdaptiveLimit


@dataclass(slots=True)
class Request:
    """A request for one or several items, or for a further page of one.

    Attributes:
        items: The items.
        attempts: Failed attempts, without those due to an unavailable source or a quota.
        quota_errors: Attempts that met a quota that was used up.
        sent: Number of requests sent.
        shared: Number of them that count as another item's.
        payer: Key of the item that shared requests count as, if it is not the first.
        page: The page to request; None for the first one.
        records: Records of the pages before it.
        gb_seconds: Cost of the calls of functions so far.
        postponed: Whether it was postponed.
    """

    items: tuple[Item, ...]
    attempts: int = 0
    quota_errors: int = 0
    sent: int = 0
    shared: int = 0
    payer: str = ""
    page: Page | None = None
    records: list[Record] = field(default_factory=list)
    gb_seconds: float = 0.0
    postponed: bool = False

    def shared_by(self, key: str) -> int:
        """Return the number of requests that count as another item's than ``key``."""
        return self.shared if key == (self.payer or self.items[0].key) else self.sent


class RequestQueue:
    """The open requests of a batch. Thread-safe."""

    def __init__(
        self, fresh: deque[Request], limit: AdaptiveLimit, breaker: CircuitBreaker
    ) -> None:
        self._fresh = fresh
        self._delayed: list[tuple[float, int, Request]] = []
        self._postponed: list[tuple[Request, float]] = []
        self._number = itertools.count()
        self._open = len(fresh)
        self._in_flight = 0
        self._limit = limit
        self._breaker = breaker
        self._closed = False
        self._changed = threading.Condition()

    def take(self, *, after_one: bool = False) -> Request | None:
        """Wait for the next request; return None when there are no more.

        Args:
            after_one: Whether the caller has just finished another request.
        """
        with self._changed:
            if after_one:
                self._in_flight -= 1
            while True:
                if self._closed or not self._open:
                    self._changed.notify_all()
                    return None
                request, wait = self._next()
                if request is not None:
                    break
                self._changed.wait(wait)
            self._in_flight += 1
            if self._in_flight < self._limit.limit and (self._fresh or self._delayed):
                self._changed.notify()
            return request

    def _next(self) -> tuple[Request | None, float | None]:
        """Return a request that is due, or the seconds to wait (None: until something changes)."""
        if self._in_flight >= self._limit.limit:
            return None, None
        now = time.monotonic()
        if not (self._fresh or self._delayed or self._in_flight):
            for request, delay in self._postponed:
                heapq.heappush(self._delayed, (now + delay, next(self._number), request))
            self._postponed.clear()
        if now < self._breaker.retry_at:
            return None, self._breaker.retry_at - now
        if self._delayed and self._delayed[0][0] <= now:
            return heapq.heappop(self._delayed)[2], None
        if self._fresh:
            return self._fresh.popleft(), None
        return None, self._delayed[0][0] - now if self._delayed else None

    def retry(self, request: Request, delay: float) -> None:
        """Repeat a request after ``delay`` seconds."""
        with self._changed:
            heapq.heappush(self._delayed, (time.monotonic() + delay, next(self._number), request))

    def postpone(self, request: Request, delay: float) -> None:
        """Repeat a request ``delay`` seconds after all others are done."""
        request.postponed = True
        with self._changed:
            self._postponed.append((request, delay))

    def next_page(self, request: Request, page: Page, records: Sequence[Record]) -> None:
        """Request the next page of an item before all other items."""
        request.page = page
        request.records += records
        request.attempts = request.quota_errors = 0
        with self._changed:
            self._fresh.appendleft(request)
            self._changed.notify()

    def split(self, request: Request, items: Sequence[Item]) -> None:
        """Request some items of a request for several singly, before all others."""
        # The requests so far count once: as those of an item that is done, or of the first one.
        some_done = len(items) < len(request.items)
        if some_done:
            again = {item.key for item in items}
            request.payer = next(item.key for item in request.items if item.key not in again)
        with self._changed:
            for number, item in enumerate(items):
                shared = request.sent if some_done or number else request.shared
                self._fresh.appendleft(Request((item,), sent=request.sent, shared=shared))
            self._open += len(items) - (0 if some_done else 1)
            self._changed.notify()

    def done(self) -> None:
        """Record that a request is done."""
        with self._changed:
            self._open -= 1

    @property
    def in_flight(self) -> int:
        """Number of requests that were handed out and are not finished."""
        return self._in_flight

    @property
    def slowed_by(self) -> str | None:
        """Why fewer requests than the maximum are handed out, or None."""
        return UNAVAILABLE if self._breaker.is_open else self._limit.slowed_by

    def set_concurrency(self, maximum: int) -> None:
        """Change the maximum number of requests in flight; those that are sent are not broken off."""
        with self._changed:
            self._limit.set_maximum(maximum)

    def close(self) -> None:
        """Hand out no more requests."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # health of the source

    def record_response(self, sent_at: float) -> None:
        """Record a response to a request sent at that time."""
        with self._changed:
            self._breaker.record_response()
            self._limit.record_response(sent_at, time.monotonic())

    def record_error(self, sent_at: float, overload: str | None = None) -> int:
        """Record a failed request; return the number of consecutive ones without any response.

        ``overload`` is how the source showed an overload: ``429``, ``503``, :data:`UNAVAILABLE` or None.
        """
        with self._changed:
            if overload:
                self._limit.record_overload(sent_at, time.monotonic(), overload)
            return self._breaker.record_error(unavailable=overload == UNAVAILABLE)

    def record_probe(self, backoff: Backoff, *, unavailable: bool) -> float:
        """Record a probe of the source; return the seconds for which it has been unavailable."""
        with self._changed:
            return self._breaker.record_probe(time.monotonic(), backoff, unavailable=unavailable)

    @property
    def is_source_unavailable(self) -> bool:
        """Whether the circuit breaker is open."""
        return self._breaker.is_open
