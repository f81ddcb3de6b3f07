"""Something that several tasks use at once and share evenly: cores, a database, a file system."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simpy import Environment, Event

_TINY = 1e-9


class Shared:
    """A capacity that is divided evenly among those who use it at the moment (processor sharing).

    All work is measured on one clock that runs as fast as each of them is served, so that a change
    in their number costs one event, however many they are.

    Args:
        env: The simulation.
        capacity: Work that is done in a second; infinite: none takes any time.
        each: Work that one of them gets done in a second, at most: one core for one process.
    """

    def __init__(self, env: Environment, capacity: float, each: float = math.inf) -> None:
        self._env = env
        self.capacity = capacity
        self._each = each
        self._served = 0.0  # work that each of those present has been given since the beginning
        self._at = env.now
        self._waiting: list[tuple[float, int, Event]] = []
        self._numbers = 0
        self._planned = 0
        self.done = 0.0

    @property
    def rate(self) -> float:
        """Work that each one gets done in a second at the moment."""
        present = len(self._waiting)
        share = self.capacity / present if present else self.capacity
        return min(share, self._each)

    def use(self, work: float) -> Event:
        """Return the event of so much work being done."""
        event = self._env.event()
        if work <= 0 or math.isinf(self.rate):
            self.done += max(0.0, work)
            return event.succeed()
        self._advance()
        self._numbers += 1
        heapq.heappush(self._waiting, (self._served + work, self._numbers, event))
        self.done += work
        self._plan()
        return event

    def _advance(self) -> None:
        self._served += (self._env.now - self._at) * self.rate
        self._at = self._env.now

    def _plan(self) -> None:
        """Look again when the next one is done; plans that were made before are void."""
        self._planned += 1
        if not self._waiting:
            return
        plan = self._planned
        left = max(0.0, self._waiting[0][0] - self._served)
        due = self._env.timeout(left / self.rate)
        due.callbacks.append(lambda _: self._look(plan))

    def _look(self, plan: int) -> None:
        if plan != self._planned:
            return
        self._advance()
        # The first one is done: that is what was waited for, whatever the rounding says.
        self._served = max(self._served, self._waiting[0][0])
        while self._waiting and self._waiting[0][0] <= self._served + _TINY:
            heapq.heappop(self._waiting)[2].succeed()
        self._plan()
