"""The threads of a task at the shared budget: one of them asks, for all that wait.

Each request gets a slot of its own. A thread sleeps until its slot begins, and a slot that it finds
gone by is not used: late requests would meet those of the slots behind them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from fanfold.errors import BudgetUnavailable, QuotaSpent
from fanfold.messages import ENGINE, Message
from fanfold.stages.fetching.budget.pacing import SECOND, Lease, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fanfold.stages.fetching.budget.pacing import Terms
    from fanfold.stages.fetching.budget.store import Answer, Store

    T = TypeVar("T")

_log = logging.getLogger(__name__)

_LATE: Final = 0.01
"""Seconds by which a slot may be used late; the rest of the margin is for the way to the server."""
_TRIP: Final = 0.001
"""Seconds to the store and back in a calm network."""
_SLACK: Final = 0.15
"""Seconds that are added to that at most, where threads wake late because the machine is busy."""
_LATER: Final = 0.2
_SOONER: Final = 0.02
"""How far one slot moves what is expected, so that about nine in ten come sooner."""
_MOVES: Final = 4
"""How often a slot is moved. A machine that is so busy that all of them go by is below its budget."""
_LEASE: Final = 0.02
"""Seconds for whose requests a lease is asked for."""
_FOLLOW: Final = 0.2
"""How far one lease moves what is expected of the next."""
_LOOK: Final = 0.05
"""Seconds for which an answer about holds is good."""
_LISTEN: Final = 1.0
"""Seconds after which a thread that waits for its turn looks whether it should stop."""
_ASK_AGAIN: Final = 5.0
"""Seconds after which a long wait is asked about again: others may have given leave back."""
_AWAY: Final = 15.0
"""Seconds for which a store may be away before the task gives up."""
_RETRY: Final = 0.2


class Slot(NamedTuple):
    """When a request may leave.

    Attributes:
        begins: In seconds of ``time.monotonic``.
        doubt: By how many seconds it may have begun earlier.
        late: By how many seconds its request may leave later.
        at: The moment that the store's log holds, in microseconds of the store's clock.
    """

    begins: float
    doubt: float
    late: float
    at: int


class _Stopped(Exception):  # noqa: N818 - a way out of the loops, not an error
    pass


class SharedBudget:
    """A connection's budget, shared with other processes through a store.

    Attributes:
        asked: How often the store was asked for a lease.
        late: Slots that went by before a thread came to use them.
    """

    def __init__(self, store: Store, connection: str, terms: Terms, patience: float) -> None:
        self.asked = 0
        self.late = 0
        self._store = store
        self._connection = connection
        self._terms = terms
        self._counted = terms.lane is not None or terms.per_hour is not None
        self._patience = patience
        self._turn = threading.Lock()
        self._looking = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._unused: list[int] = []
        self._demand = 0.0
        self._given = 0
        self._given_at = float("-inf")
        self._slots: deque[Slot] = deque()
        self._looked_at = float("-inf")
        self._held_until = float("-inf")
        self._held_because = ""
        self._lateness = 0.0

    def acquire(self, stop: threading.Event) -> bool:
        """Wait for leave for one request; return False where ``stop`` was set meanwhile.

        Raises:
            QuotaSpent: Leave is further away than the budget's patience.
            BudgetUnavailable: The store stays away.
        """
        try:
            while True:
                if self._use(self._next(stop), stop) if self._counted else self._unheld(stop):
                    return True
        except _Stopped:
            return False

    def hold(self, seconds: float, reason: Message) -> None:
        """Let nobody on this connection ask before ``seconds`` are over.

        Raises:
            BudgetUnavailable: The store stays away; this process heeds the hold all the same.
        """
        text = reason.as_text()
        self._heed(time.monotonic() + seconds, text)
        self._patiently(lambda: self._store.hold(seconds, text), threading.Event())

    def close(self) -> None:
        """Give back what was leased and not used."""
        unused = self._unused + [slot.at for slot in self._slots]
        try:
            if unused:
                self._store.give_back(unused)
        except BudgetUnavailable as error:
            # The work is done, and the budget forgets them by itself.
            _log.warning(
                "%d requests stay counted though they were not made: %s", len(unused), error
            )
        finally:
            self._store.close()

    def _use(self, slot: Slot, stop: threading.Event) -> bool:
        """Wait for a slot; return whether the request may leave now."""
        leave = False
        try:
            _sleep(slot.begins - time.monotonic(), stop)
            leave = self._unheld(stop)
            for _ in range(_MOVES):
                late = time.monotonic() - slot.begins + slot.doubt
                self._learn(late)
                if not leave or late <= slot.late:
                    break
                self.late += 1
                moved = self._move(slot, stop)
                leave = moved is not None
                slot = moved or slot
            _sleep(0, stop)
        except BaseException:
            leave = False
            raise
        finally:
            if not leave:
                self._give_back(slot)
        return leave

    def _learn(self, late: float) -> None:
        """Follow how late nearly all threads come to their slots."""
        by = late - self._lateness
        self._lateness += by * (_LATER if by > 0 else _SOONER)

    def _slack(self) -> int:
        """Return by how much later slots may be used here than usual, in microseconds."""
        return int(min(max(0.0, 1.5 * self._lateness - _LATE), _SLACK) * SECOND)

    def _unheld(self, stop: threading.Event) -> bool:
        """Return True where there is no hold; else wait for a part of it."""
        _sleep(0, stop)
        held = self._held(stop)
        if held > 0:
            self._wait(Refusal(int(held * SECOND), "hold", self._held_because), stop)
        return held <= 0

    def _next(self, stop: threading.Event) -> Slot:
        """Return the next slot of this process; ask for more where there is none."""
        with self._counting:
            self._waiting += 1
        try:
            with _taken(self._turn, stop):
                while True:
                    while self._slots:
                        slot = self._slots.popleft()
                        if time.monotonic() - slot.begins + slot.doubt <= slot.late:
                            return slot
                        self._give_back(slot)
                    refusal = self._ask(stop)
                    if refusal is not None:
                        self._wait(refusal, stop)
        finally:
            with self._counting:
                self._waiting -= 1

    def _ask(self, stop: threading.Event) -> Refusal | None:
        """Lease slots for the threads that wait, or return why there are none."""
        with self._counting:
            wanted, unused, self._unused = self._waiting, self._unused, []
        # For the threads that wait, and for those that are going to come while a lease lasts.
        wanted = max(wanted, int(self._demand * _LEASE))
        self.asked += 1
        slack = self._slack()
        try:
            answer = self._patiently(lambda: self._store.take(wanted, unused, slack), stop)
        except BaseException:
            with self._counting:
                self._unused += unused
            raise
        self._note(answer)
        if not isinstance(answer.given, Lease):
            return answer.given
        slots = self._read(answer, answer.given, slack)
        self._slots.extend(slots)
        since = max(answer.answered_at - self._given_at, _LEASE / 10)
        self._demand += _FOLLOW * (self._given / since - self._demand)
        self._given, self._given_at = len(slots), answer.answered_at
        return None

    def _move(self, slot: Slot, stop: threading.Event) -> Slot | None:
        """Return a slot that begins now, instead of one that went by; None where it is too late."""
        slack = self._slack()
        answer = self._patiently(lambda: self._store.move(slot.at, slack), stop)
        self._note(answer)
        return (
            self._read(answer, answer.given, slack)[0] if isinstance(answer.given, Lease) else None
        )

    def _read(self, answer: Answer, lease: Lease, slack: int) -> list[Slot]:
        """Return the slots of a lease in this process's time.

        Its "now" lies somewhere between question and answer. Slots are counted from the answer, and
        what that took longer than a calm network needs counts as late.
        """
        doubt = max(0.0, answer.answered_at - answer.asked_at - _TRIP)
        late = _LATE + slack / SECOND if self._terms.lane else float("inf")
        starts = ((at, answer.answered_at + (at - lease.now) / SECOND) for at in lease.slots)
        return [Slot(begins, doubt, late, at + slack) for at, begins in starts]

    def _held(self, stop: threading.Event) -> float:
        """Return the seconds that a hold still lasts; ask where the last answer is old."""
        if time.monotonic() - self._looked_at > _LOOK:
            with _taken(self._looking, stop):
                if time.monotonic() - self._looked_at > _LOOK:
                    self._note(self._patiently(self._store.look, stop))
        return self._held_until - time.monotonic()

    def _note(self, answer: Answer) -> None:
        if isinstance(answer.given, Refusal) and answer.given.why == "hold":
            self._heed(answer.answered_at + answer.given.wait / SECOND, answer.given.reason)
        self._looked_at = answer.answered_at

    def _heed(self, until: float, reason: str) -> None:
        with self._counting:
            if until > self._held_until:
                self._held_until, self._held_because = until, reason

    def _wait(self, refusal: Refusal, stop: threading.Event) -> None:
        """Sleep through a refusal, or a part of it.

        Raises:
            QuotaSpent: It lasts longer than the budget's patience.
        """
        seconds = refusal.wait / SECOND
        if refusal.why != "pace" and seconds > self._patience:
            reset_at = datetime.now(UTC) + timedelta(seconds=seconds)
            why = (
                ENGINE.message("rate_limit.per_hour", n=self._terms.per_hour)
                if refusal.why == "hour"
                else Message.from_text(refusal.reason)
            )
            raise QuotaSpent(why, reset_at=reset_at)
        _sleep(min(seconds, _ASK_AGAIN), stop)

    def _give_back(self, slot: Slot) -> None:
        with self._counting:
            self._unused.append(slot.at)

    def _patiently(self, call: Callable[[], T], stop: threading.Event) -> T:
        """Return what a call to the store returns; repeat it while the store is away for a while."""
        give_up_at = time.monotonic() + _AWAY
        while True:
            try:
                return call()
            except BudgetUnavailable:
                if time.monotonic() > give_up_at:
                    raise
                _sleep(_RETRY, stop)


def _sleep(seconds: float, stop: threading.Event) -> None:
    if stop.wait(seconds) if seconds > 0 else stop.is_set():
        raise _Stopped


@contextmanager
def _taken(lock: threading.Lock, stop: threading.Event) -> Iterator[None]:
    """Hold a lock; give up waiting for it where ``stop`` is set."""
    while not lock.acquire(timeout=_LISTEN):
        if stop.is_set():
            raise _Stopped
    try:
        yield
    finally:
        lock.release()
