"""What is still to be asked, when, and how much of it at once: shared by the threads of a batch."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from fanfold.stages.fetching.backoff import Backoff
    from fanfold.stages.fetching.window import Window


@dataclass(slots=True)
class Ask:
    """A request to make.

    Attributes:
        keys: The items that it asks for: one, or several.
        attempts: How often it failed; a source that is away or out of quota does not count.
        turned_away: How often it met a spent quota.
        requests: How many requests were made for it.
        shared: How many of them are counted with another item.
        payer: The item that the requests for several are counted with.
    """

    keys: tuple[str, ...]
    attempts: int = 0
    turned_away: int = 0
    requests: int = 0
    shared: int = 0
    payer: str = ""

    def shared_by(self, key: str) -> int:
        """Return how many of its requests are counted with another item than ``key``."""
        return self.shared if key == (self.payer or self.keys[0]) else self.requests


@dataclass(slots=True)
class _Silence:
    """What is known of a source that does not answer."""

    in_a_row: int = 0
    since: float | None = None
    probes: int = 0
    paused_until: float = field(default=float("-inf"))


class Agenda:
    """The asks of a batch. All methods may be called from any thread."""

    def __init__(self, fresh: deque[Ask], window: Window) -> None:
        self._fresh = fresh
        self._later: list[tuple[float, int, Ask]] = []
        self._number = itertools.count()
        self._open = len(fresh)
        self._in_flight = 0
        self._window = window
        self._silence = _Silence()
        self._ended = False
        self._changed = threading.Condition()

    def take(self, *, after_one: bool = False) -> Ask | None:
        """Return the next ask, when it is due and the window has room; None at the end.

        Args:
            after_one: Whether the caller has just finished another.
        """
        with self._changed:
            if after_one:
                self._in_flight -= 1
            while True:
                if self._ended or not self._open:
                    self._changed.notify_all()
                    return None
                ask, wait = self._next()
                if ask is not None:
                    break
                self._changed.wait(wait)
            self._in_flight += 1
            if self._in_flight < self._window.limit and (self._fresh or self._later):
                self._changed.notify()
            return ask

    def _next(self) -> tuple[Ask | None, float | None]:
        """Return an ask that is due, or how many seconds to wait (None: until something changes)."""
        if self._in_flight >= self._window.limit:
            return None, None
        now = time.monotonic()
        if now < self._silence.paused_until:
            return None, self._silence.paused_until - now
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2], None
        if self._fresh:
            return self._fresh.popleft(), None
        return None, self._later[0][0] - now if self._later else None

    def put_back(self, ask: Ask, wait: float) -> None:
        """Ask again after ``wait`` seconds."""
        with self._changed:
            heapq.heappush(self._later, (time.monotonic() + wait, next(self._number), ask))

    def split(self, ask: Ask, keys: Sequence[str]) -> None:
        """Look up some items of an ask of several singly, and soon."""
        # The requests made so far are counted once: with an item that is settled, or the first.
        settled = len(keys) < len(ask.keys)
        if settled:
            ask.payer = next(key for key in ask.keys if key not in set(keys))
        with self._changed:
            for number, key in enumerate(keys):
                shared = ask.requests if settled or number else ask.shared
                single = Ask((key,), requests=ask.requests, shared=shared)
                self._fresh.appendleft(single)
            self._open += len(keys) - (0 if settled else 1)
            self._changed.notify()

    def close(self) -> None:
        """Note that an ask has its outcome."""
        with self._changed:
            self._open -= 1

    def end(self) -> None:
        """Give out nothing more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    # what the answers say of the source

    def answered(self, sent_at: float) -> None:
        """Note that an answer came to a request that was sent at that moment."""
        with self._changed:
            if self._silence.in_a_row or self._silence.probes:
                self._silence = _Silence()
            self._window.answered(sent_at, time.monotonic())

    def unanswered(self, sent_at: float, *, away: bool, strained: bool) -> int:
        """Note a request that failed; return how many got no answer at all, in a row."""
        with self._changed:
            if away:
                self._silence.in_a_row += 1
            else:
                self._silence.in_a_row = 0
            if away or strained:
                self._window.strained(sent_at, time.monotonic())
            return self._silence.in_a_row

    @property
    def is_away(self) -> bool:
        """Whether the source was away when it was last probed, and has not answered since."""
        return self._silence.since is not None

    def note_away(self, away: bool, backoff: Backoff) -> float:  # noqa: FBT001
        """Note whether the source is away; all wait then. Return for how many seconds it has been."""
        with self._changed:
            if not away:
                self._silence = _Silence()
                return 0.0
            now = time.monotonic()
            silence = self._silence
            silence.since = now if silence.since is None else silence.since
            longest = min(backoff.away_cap, backoff.first * 2**silence.probes)
            silence.probes += 1
            silence.paused_until = now + random.uniform(longest / 2, longest)  # noqa: S311
            return now - silence.since
