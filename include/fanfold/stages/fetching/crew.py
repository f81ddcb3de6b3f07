"""The threads that ask for the items of a batch, and what they hand back."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from fanfold.errors import CredentialRefused, FanfoldError, ItemRefused, QuotaSpent, Retriable
from fanfold.messages import ENGINE, Message
from fanfold.model import Outcome, Status, utc_text
from fanfold.sources import Found
from fanfold.stages.fetching.agenda import Agenda, Ask
from fanfold.stages.fetching.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fanfold.errors import SourceBusy
    from fanfold.rate_limit import RateLimiter
    from fanfold.sources.http import Client
    from fanfold.stages.fetching.backoff import Backoff
    from fanfold.workspace.batch import Done

PART_ITEMS = 500
"""Items after which a part is handed over."""
PART_SECONDS = 2.0
"""Seconds after which a part is handed over, if anything came."""
UNKNOWN_RESET = 300.0
"""Seconds to wait where the source does not say when its quota is full again."""
LONGEST_HOLD = 3600.0
"""Seconds after which the source is asked again, whatever it said: an hourly quota is full then."""
TURNED_AWAY = 10
"""Quotas that one request may meet in a row; one that always meets them has another trouble."""
SILENCES = 10
"""Requests in a row without any answer, after which the source is asked whether it is there."""
_NOTHING = Message("")


class Crew:
    """Threads that take items from one agenda until it is empty or there is a reason to stop.

    Attributes:
        stopped_by: A refused token, a spent quota or a source that is away, where one ended the
            work early.
        window: How many requests there may be in flight.
    """

    def __init__(  # noqa: PLR0913 - what a fetch depends on
        self,
        client: Client,
        limiter: RateLimiter,
        backoff: Backoff,
        wanted: Sequence[str],
        earlier: Mapping[str, Outcome],
        *,
        concurrency: int,
        together: int = 1,
    ) -> None:
        self.stopped_by: FanfoldError | None = None
        self.window = Window(concurrency)
        self._client = client
        self._limiter = limiter
        self._backoff = backoff
        self._earlier = earlier
        self._stop = threading.Event()
        keys = iter(wanted)
        asks = deque(map(Ask, iter(lambda: tuple(itertools.islice(keys, together)), ())))
        self._crew = min(concurrency, len(wanted))
        self._agenda = Agenda(asks, self.window)
        self._done: queue.SimpleQueue[list[Done] | BaseException | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._probing = threading.Lock()
        self._probed_at = float("-inf")
        client.on_spent = self._heed_headers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for thread in self._threads:
            thread.join()

    def parts(self) -> Iterator[list[Done]]:
        """Start the threads and yield what they bring, a part at a time, until all is tried."""
        self._threads = [
            threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True)
            for number in range(self._crew)
        ]
        for thread in self._threads:
            thread.start()
        working = len(self._threads)
        part: list[Done] = []
        due = time.monotonic() + PART_SECONDS
        try:
            while working:
                try:
                    done = self._done.get(timeout=max(0.01, due - time.monotonic()))
                except queue.Empty:
                    pass
                else:
                    if done is None:
                        working -= 1
                    elif isinstance(done, BaseException):
                        raise done
                    else:
                        part += done
                if len(part) >= PART_ITEMS or time.monotonic() >= due:
                    if part:
                        yield part
                        part = []
                    due = time.monotonic() + PART_SECONDS
        finally:
            self._end()
        if part:
            yield part

    # what the threads do

    def _work(self) -> None:
        try:
            ask = self._agenda.take()
            while ask is not None:
                self._try(ask)
                ask = self._agenda.take(after_one=True)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._done.put(error)
            self._end()
        finally:
            self._done.put(None)

    def _try(self, ask: Ask) -> None:
        """Make one request; file what came of it or put it back on the agenda."""
        try:
            if not self._limiter.acquire(self._stop):
                return
        except Retriable as error:  # a spent quota, or a store that is away
            self._halt(error)
            return
        sent_at = time.monotonic()
        ask.requests += 1
        try:
            done = [self._look_up(ask)] if len(ask.keys) == 1 else self._look_up_several(ask)
        except CredentialRefused as error:
            self._halt(error)
        except QuotaSpent as error:
            self._wait_for_quota(ask, error)
        except ItemRefused as error:
            self._agenda.answered(sent_at)
            self._give_up(ask, error)
        except Retriable as error:
            self._put_back(ask, error, sent_at)  # type: ignore[arg-type]
        else:
            self._agenda.answered(sent_at)
            if done:
                self._agenda.close()
                self._done.put(done)

    def _look_up(self, ask: Ask) -> Done:
        key = ask.keys[0]
        answer = self._client.look_up(key)
        if isinstance(answer, Found):
            return self._outcome(ask, key, Status.OK), answer.record
        return self._outcome(ask, key, Status.MISSING, answer.reason), None

    def _look_up_several(self, ask: Ask) -> list[Done]:
        """Ask for several items; those that the answer omits are looked up singly."""
        several = self._client.source.several
        assert several is not None  # noqa: S101 - asks of several items are made of it
        records: dict[str, dict[str, Any]] = self._client.look_up_several(several, ask.keys)
        omitted = tuple(key for key in ask.keys if key not in records)
        if omitted:
            self._agenda.split(ask, omitted)
        return [
            (self._outcome(ask, key, Status.OK), records[key]) for key in ask.keys if key in records
        ]

    # what did not come

    def _put_back(self, ask: Ask, error: SourceBusy, sent_at: float) -> None:
        """Try again later; after too many attempts, find out whether the item or the source fails."""
        silences = self._agenda.unanswered(sent_at, away=error.away, strained=error.overloaded)
        if error.retry_after is not None:
            self._hold(error.retry_after, error)
        ask.attempts += 1
        wait = self._backoff.wait_after(ask.attempts, error.retry_after)
        if (wait is None or silences >= SILENCES) and self._source_is_away(error, sent_at):
            ask.attempts -= 1
            wait = 0.0
        if wait is None:
            self._give_up(ask, error)
        else:
            self._agenda.put_back(ask, wait)

    def _give_up(self, ask: Ask, error: FanfoldError) -> None:
        if len(ask.keys) > 1:
            # One item may spoil the request for the others.
            self._agenda.split(ask, ask.keys)
            return
        self._agenda.close()
        key = ask.keys[0]
        self._done.put([(self._outcome(ask, key, Status.FAILED, error.message), None)])

    def _wait_for_quota(self, ask: Ask, spent: QuotaSpent) -> None:
        """Make everybody on this connection wait for the reset; stop where that is far away."""
        seconds = spent.retry_after
        if seconds is None and spent.reset_at is not None:
            seconds = (spent.reset_at - datetime.now(UTC)).total_seconds()
        if seconds is None:
            seconds = self._quota_reset()
        # A second more: clocks differ, and resets are told in whole seconds.
        self._hold(max(0.0, seconds) + 1.0, spent)
        ask.turned_away += 1
        if ask.turned_away < TURNED_AWAY:
            self._agenda.put_back(ask, 0.0)
        else:
            self._give_up(ask, spent)

    def _quota_reset(self) -> float:
        try:
            quota = self._client.source.quota(self._client)
        except FanfoldError:
            quota = None
        return UNKNOWN_RESET if quota is None or quota.reset_in is None else quota.reset_in

    def _heed_headers(self, seconds: float) -> None:
        # No reason to stop: this answer may have been the last that was wanted.
        self._limiter.pause(min(seconds, LONGEST_HOLD), ENGINE.message("rate_limit.headers"))

    def _hold(self, seconds: float, error: FanfoldError) -> None:
        seconds = min(seconds, LONGEST_HOLD)
        self._limiter.pause(seconds, error.message)
        if seconds > self._backoff.patience:
            reset_at = datetime.now(UTC) + timedelta(seconds=seconds)
            self._halt(QuotaSpent(error.message, reset_at=reset_at))

    def _source_is_away(self, error: SourceBusy, sent_at: float) -> bool:
        """Whether the source answers nobody; all wait then, longer each time.

        It is looked at once for all requests that were under way: one look later than theirs counts.
        """
        with self._probing:
            if self._stop.is_set():
                return False
            if sent_at < self._probed_at:
                return self._agenda.is_away
            self._probed_at = time.monotonic()
            try:
                self._client.source.check(self._client)
            except QuotaSpent:
                away = False
            except Retriable:
                away = True
            except FanfoldError as refused:
                self._halt(refused)
                return False
            else:
                away = False
            seconds = self._agenda.note_away(away, self._backoff)
            if seconds > self._backoff.away_patience:
                self._halt(error)
            return away

    def _outcome(self, ask: Ask, key: str, status: Status, reason: Message = _NOTHING) -> Outcome:
        attempts, shared = ask.requests, ask.shared_by(key)
        if (before := self._earlier.get(key)) is not None:
            attempts += before.attempts
            shared += before.shared or 0
        return Outcome.of(
            key,
            status,
            reason,
            attempts=attempts,
            at=utc_text(datetime.now(UTC)),
            shared=shared or None,
        )

    def _halt(self, error: FanfoldError) -> None:
        self.stopped_by = self.stopped_by or error
        self._end()

    def _end(self) -> None:
        self._stop.set()
        self._agenda.end()
