"""The threads that send the requests of a batch.

What a request may wait for, in this order:

1. its due time after a failure (``backoff``) and the limit of concurrent requests (``concurrency``)
2. the circuit breaker, while the source gives no response at all (``circuit_breaker``)
3. a permit of the rate limiter, shared by all tasks of the connection, with its pauses
   (``Retry-After``, a quota that is used up)

A 404 in no form of the API, such as a page, may be the source's answer for an item that does not exist, or
that of a proxy while the source is unavailable. Its request is repeated once, after all others, and then all of these
are judged together (:meth:`WorkerPool._judged`).

A pause that is longer than ``Backoff.max_wait`` ends the fetch with ``QuotaSpent``, so that the task
defers; an outage longer than ``Backoff.max_outage`` ends it with the error, so that Airflow retries.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from fanfold.errors import (
    BadConfiguration,
    CredentialRefused,
    FanfoldError,
    ItemRefused,
    QuotaSpent,
    Retriable,
    SourceBusy,
)
from fanfold.messages import ENGINE, Message
from fanfold.model import Outcome, Status, utc_text
from fanfold.stages.fetching.backoff import MAX_PAUSE, Backoff, cause_of, overload_of, pause_of
from fanfold.stages.fetching.circuit_breaker import CircuitBreaker
from fanfold.stages.fetching.concurrency import AdaptiveLimit
from fanfold.stages.fetching.parts import Backlog, PartBuffer, Sized
from fanfold.stages.fetching.progress import Flight
from fanfold.stages.fetching.queue import Request, RequestQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fanfold.model import Item
    from fanfold.rate_limit import RateLimiter
    from fanfold.sources import Reply, Session
    from fanfold.stages.fetching.counters import RequestCounters
    from fanfold.workspace.batch import Done

MAX_QUOTA_ERRORS = 10
"""Quota errors of one request before its item fails: the quota is not its problem then."""
PROBE_AFTER = 10
"""Consecutive requests without a response after which the source is probed."""
_NO_REASON = Message("")


class WorkerPool:
    """Threads that process one request queue until it is empty or the fetch must stop.

    Attributes:
        stopped_by: The rejected token, wrong configuration, quota or outage that stopped the fetch early,
            or None.
        limit: Limit of concurrent requests.
        blob: None: there are only records.
    """

    blob = None

    def __init__(  # noqa: PLR0913 - what a fetch depends on
        self,
        session: Session,
        limiter: RateLimiter,
        *,
        concurrency: int,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        wanted: Sequence[Item],
        earlier: Mapping[str, Outcome],
        counters: RequestCounters,
        known: Callable[[], Item | None] = lambda: None,
        changed: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Create the queue.

        ``known`` finds an item that an earlier fetch of the run has found; ``changed`` is called at least
        every two seconds and returns the ``concurrency`` if it has been changed.
        """
        self.stopped_by: FanfoldError | None = None
        self.limit = AdaptiveLimit(concurrency)
        self._session = session
        self._limiter = limiter
        self._backoff = backoff
        self._counters = counters
        self._earlier = earlier
        self._find_known = known
        self._changed = changed
        self._known: Item | None = None
        self._not_found: list[tuple[Request, SourceBusy]] = []
        self._page_passed = False
        self._stop = threading.Event()
        items = iter(wanted)
        chunks = iter(lambda: tuple(itertools.islice(items, session.items_per_request)), ())
        self._queue = RequestQueue(deque(map(Request, chunks)), self.limit, CircuitBreaker())
        self._results: queue.SimpleQueue[Sized | BaseException | None] = queue.SimpleQueue()
        self._backlog = Backlog()
        self._items = len(wanted)
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._probe_lock = threading.Lock()
        self._probed_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for thread in self._threads:
            thread.join()

    @property
    def flight(self) -> Flight:
        """The requests in flight now."""
        # Read without locks: it changes with each request.
        sent = max(0, self._queue.in_flight - self._limiter.waiting)
        slowed_by = self._limiter.slowed_by or self._queue.slowed_by
        return Flight(sent, min(self.limit.maximum, self._items), slowed_by)

    def _start_threads(self) -> None:
        """Start the threads that the maximum of requests needs and that are not started yet."""
        for number in range(len(self._threads), min(self.limit.maximum, self._items)):
            thread = threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()
            self._running += 1

    def parts(self) -> Iterator[list[Done]]:
        """Start the threads and yield their results in parts until all items are tried."""
        self._start_threads()
        buffer = PartBuffer(self._backlog)
        try:
            while self._running:
                try:
                    result = self._results.get(timeout=buffer.due_in())
                except queue.Empty:
                    pass
                else:
                    if result is None:
                        self._running -= 1
                    elif isinstance(result, BaseException):
                        raise result
                    else:
                        buffer.add(*result)
                if (part := buffer.take()) is not None:
                    yield part
                    if (concurrency := self._changed()) is not None:
                        self._queue.set_concurrency(concurrency)
                        self._start_threads()
            buffer.add(self._judged())
        finally:
            self._end()
        yield buffer.take(last=True) or []

    # in the threads

    def _work(self) -> None:
        try:
            request = self._queue.take()
            while request is not None:
                self._send(request)
                request = self._queue.take(after_one=True)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._results.put(error)
            self._end()
        finally:
            self._results.put(None)

    def _send(self, request: Request) -> None:
        self._backlog.wait(self._stop)
        if not self._permit():
            return
        sent_at = time.monotonic()
        request.sent += 1
        try:
            reply = self._session.fetch(request.items, request.page)
        except FanfoldError as error:
            request.gb_seconds += error.gb_seconds
            self._failed(request, error, sent_at)
        else:
            self._queue.record_response(sent_at)
            request.gb_seconds += reply.gb_seconds
            self._accept(request, reply)

    def _permit(self) -> bool:
        """Wait for a permit; return False if the fetch stops."""
        started = time.monotonic()
        granted = False
        try:
            granted = self._limiter.acquire(self._stop)
        except Retriable as error:
            self._halt(error)
        finally:
            self._counters.permit(time.monotonic() - started, granted=granted)
        return granted

    def _accept(self, request: Request, reply: Reply) -> None:
        if reply.pause is not None:
            # Does not end the fetch: this may have been the last request.
            self._limiter.pause(min(reply.pause, MAX_PAUSE), ENGINE.message("rate_limit.headers"))
        self._page_passed |= request.postponed
        if self._known is None:
            self._known = next((it for it in request.items if reply.records.get(it.key)), None)
        if reply.following is not None:
            self._queue.next_page(request, reply.following, reply.records[request.items[0].key])
            return
        answered = reply.records.keys() | reply.missing.keys()
        omitted = [item for item in request.items if item.key not in answered]
        if omitted:
            self._queue.split(request, omitted)
        results: list[Done] = []
        for key in (item.key for item in request.items):
            if key in reply.records:
                records = [*request.records, *reply.records[key]]
                results.append((self._outcome(request, key, Status.OK), records))
            elif key in reply.missing:
                reason = reply.missing[key]
                results.append((self._outcome(request, key, Status.MISSING, reason), None))
        if results:
            self._queue.done()
            self._results.put((results, self._backlog.add(results)))

    # failed requests

    def _failed(self, request: Request, error: FanfoldError, sent_at: float) -> None:
        match error:
            case CredentialRefused() | BadConfiguration():
                self._halt(error)
            case QuotaSpent():
                self._retry_after_quota(request, error)
            case ItemRefused():
                self._queue.record_response(sent_at)
                self._give_up(request, error)
            case SourceBusy() if error.not_found:
                self._repeat_last(request, error, sent_at)
            case SourceBusy():
                self._retry(request, error, sent_at)
            case _:
                raise error

    def _repeat_last(self, request: Request, error: SourceBusy, sent_at: float) -> None:
        self._queue.record_error(sent_at)
        if len(request.items) > 1:
            self._queue.split(request, request.items)
        elif not request.postponed:
            self._queue.postpone(request, self._backoff.wait_after(1, error.retry_after) or 0.0)
        else:
            self._not_found.append((request, error))
            self._queue.done()

    def _judged(self) -> list[Done]:
        """Return the outcomes of the items for which the source had a page instead of JSON twice.

        They are missing if it answers for an item that is known to exist, and the page has not passed for
        any item. Without such an item they are failed: the host may be wrong.
        """
        if self.stopped_by or not self._not_found:
            return []
        known = None if self._page_passed else self._known_item()
        exists = known is not None and self._still_has(known)
        if self.stopped_by:
            return []
        found: list[Done] = []
        for request, error in self._not_found:
            key = request.items[0].key
            if exists:
                reason = ENGINE.message("http.no_item", status=error.not_found)
                outcome = self._outcome(request, key, Status.MISSING, reason)
            else:
                reason = ENGINE.message("http.not_found", status=error.not_found)
                outcome = self._outcome(request, key, Status.FAILED, reason)
            found.append((outcome, None))
        return found

    def _still_has(self, item: Item) -> bool:
        """Request an item that exists again; stop the fetch if the source does not answer."""
        if not self._permit():
            return False
        self._not_found[0][0].sent += 1
        try:
            return bool(self._session.fetch((item,)).records.get(item.key))
        except FanfoldError as error:
            if isinstance(error, QuotaSpent):
                self._pause(pause_of(error, self._session), error)
            self._halt(error)
            return False

    def _known_item(self) -> Item | None:
        return self._known or self._find_known()

    def _retry(self, request: Request, error: SourceBusy, sent_at: float) -> None:
        """Retry later; after too many attempts, find out whether the item or the source fails."""
        errors = self._queue.record_error(sent_at, overload_of(error))
        if error.retry_after is not None:
            self._pause(error.retry_after, error)
        request.attempts += 1
        delay = self._backoff.wait_after(request.attempts, error.retry_after)
        if (delay is None or errors >= PROBE_AFTER) and self._is_unavailable(error, sent_at):
            request.attempts -= 1
            delay = 0.0
        if delay is None:
            if error.permanent and self._known_item() is None:
                self._halt(error.permanent)
            else:
                self._give_up(request, error)
        else:
            self._counters.retry(delay, cause_of(error))
            self._queue.retry(request, delay)

    def _give_up(self, request: Request, error: FanfoldError) -> None:
        if len(request.items) > 1:
            # One item may fail the request for the others.
            self._queue.split(request, request.items)
            return
        self._queue.done()
        outcome = self._outcome(request, request.items[0].key, Status.FAILED, error.message)
        if isinstance(error, ItemRefused):
            outcome = replace(outcome, refused=True)
        self._results.put(([(outcome, None)], 0))

    def _retry_after_quota(self, request: Request, error: QuotaSpent) -> None:
        """Pause the connection until the quota is renewed."""
        self._pause(pause_of(error, self._session), error)
        request.quota_errors += 1
        if request.quota_errors < MAX_QUOTA_ERRORS:
            self._queue.retry(request, 0.0)
        else:
            self._give_up(request, error)

    def _pause(self, seconds: float, error: FanfoldError) -> None:
        seconds = min(seconds, MAX_PAUSE)
        self._limiter.pause(seconds, error.message)
        if seconds > self._backoff.max_wait:
            reset_at = datetime.now(UTC) + timedelta(seconds=seconds)
            self._halt(QuotaSpent(error.message, reset_at=reset_at))

    def _is_unavailable(self, error: SourceBusy, sent_at: float) -> bool:
        """Probe the source, once for all requests in flight; open or close the circuit breaker."""
        with self._probe_lock:
            if self._stop.is_set():
                return False
            if sent_at < self._probed_at:
                return self._queue.is_source_unavailable
            self._probed_at = time.monotonic()
            try:
                self._session.check()
            except (QuotaSpent, ItemRefused):  # it answers
                unavailable = False
            except Retriable:
                unavailable = True
            except FanfoldError as fatal:
                self._halt(fatal)
                return False
            else:
                unavailable = False
            outage = self._queue.record_probe(self._backoff, unavailable=unavailable)
            if outage > self._backoff.max_outage:
                self._halt(error)
            return unavailable

    def _outcome(
        self, request: Request, key: str, status: Status, reason: Message = _NO_REASON
    ) -> Outcome:
        attempts, shared = request.sent, request.shared_by(key)
        gb_seconds = request.gb_seconds
        if (before := self._earlier.get(key)) is not None:
            attempts += before.attempts
            shared += before.shared or 0
            gb_seconds += before.gb_seconds or 0.0
        return Outcome.of(
            key,
            status,
            reason,
            attempts=attempts,
            at=utc_text(datetime.now(UTC)),
            shared=shared or None,
            gb_seconds=gb_seconds or None,
        )

    def _halt(self, error: FanfoldError) -> None:
        self.stopped_by = self.stopped_by or error
        self._end()

    def _end(self) -> None:
        self._stop.set()
        self._backlog.written(0)
        self._queue.close()
