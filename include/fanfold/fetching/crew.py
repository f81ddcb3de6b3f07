"""The threads that ask for the items of a batch, and what they hand back."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from fanfold.errors import CredentialRefused, FanfoldError, ItemRefused, QuotaSpent, Retriable
from fanfold.model import Outcome, Status, utc_text
from fanfold.sources import Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.fetching.backoff import Backoff
    from fanfold.fetching.budget import Budget
    from fanfold.parts import Done
    from fanfold.sources.http import Client

PART_ITEMS = 500
"""Items after which a part is handed over."""
PART_SECONDS = 2.0
"""Seconds after which a part is handed over, if anything came."""


class Crew:
    """Threads that take items from one list until it is empty or one of them meets a reason to stop.

    Attributes:
        stopped_by: A refused token or a spent quota, where one ended the work early.
    """

    def __init__(
        self,
        client: Client,
        budget: Budget,
        backoff: Backoff,
        wanted: list[str],
        earlier: dict[str, Outcome],
    ) -> None:
        self.stopped_by: FanfoldError | None = None
        self._client = client
        self._budget = budget
        self._backoff = backoff
        self._wanted = iter(wanted)
        self._total = len(wanted)
        self._attempts = {key: outcome.attempts for key, outcome in earlier.items()}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._done: queue.SimpleQueue[Done | BaseException | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def parts(self, concurrency: int) -> Iterator[list[Done]]:
        """Start the threads and yield what they bring, a part at a time, until all is tried."""
        self._threads = [
            threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True)
            for number in range(min(concurrency, self._total))
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
                        part.append(done)
                if len(part) >= PART_ITEMS or time.monotonic() >= due:
                    if part:
                        yield part
                        part = []
                    due = time.monotonic() + PART_SECONDS
        finally:
            self._stop.set()
        if part:
            yield part

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                with self._lock:
                    key = next(self._wanted, None)
                if key is None:
                    break
                done = self._look_up(key)
                if done is not None:
                    self._done.put(done)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._done.put(error)
        finally:
            self._done.put(None)

    def _look_up(self, key: str) -> Done | None:
        """Return the outcome of one item and its record; None where the crew was stopped."""
        before = self._attempts.get(key, 0)
        for attempt in itertools.count(1):
            if not self._budget.acquire(self._stop):
                break
            try:
                answer = self._client.look_up(key)
            except (CredentialRefused, QuotaSpent) as error:
                self._halt(error)
                break
            except (ItemRefused, Retriable) as error:
                wait = (
                    self._backoff.wait_after(attempt, error)
                    if isinstance(error, Retriable)
                    else None
                )
                if wait is None:
                    return _outcome(key, Status.FAILED, str(error), before + attempt), None
                if self._stop.wait(wait):
                    break
            else:
                if isinstance(answer, Found):
                    return _outcome(key, Status.OK, "", before + attempt), answer.record
                return _outcome(key, Status.MISSING, answer.reason, before + attempt), None
        return None

    def _halt(self, error: FanfoldError) -> None:
        with self._lock:
            self.stopped_by = self.stopped_by or error
        self._stop.set()


def _outcome(key: str, status: Status, reason: str, attempts: int) -> Outcome:
    return Outcome(key, status, reason, attempts, utc_text(datetime.now(UTC)))
