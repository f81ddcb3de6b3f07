"""A quota by the hour that holds in any hour, as the budget of all workers keeps it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simpy import Environment

HOUR = 3600.0


@dataclass(slots=True)
class Leave:
    """Requests that were allowed.

    Attributes:
        count: How many.
        given: When the first of them may be sent.
        ended: When the last one was answered; infinite while they are under way.
    """

    count: int
    given: float
    ended: float = math.inf


class Hourly:
    """So many requests in any hour.

    Requests count from the moment at which they are allowed until an hour after they were answered:
    however they are spread over that time, no hour holds more than the limit.

    Args:
        env: The simulation.
        limit: Requests in an hour; 0: as many as one likes.

    Attributes:
        history: Every leave that was given, in order.
    """

    def __init__(self, env: Environment, limit: int) -> None:
        self._env = env
        self.limit = limit
        self.history: list[Leave] = []
        self._counted = 0
        self._answered: deque[Leave] = deque()  # in the order of their ends

    def largest(self, wanted: int) -> int:
        """Return how many requests are asked for at once: a twentieth of the quota, at most."""
        return min(wanted, max(1, self.limit // 20)) if self.limit else wanted

    def wait(self, count: int) -> float:
        """Return the seconds until so many requests are allowed, as far as is known now."""
        if not self.limit:
            return 0.0
        now = self._env.now
        while self._answered and self._answered[0].ended + HOUR <= now:
            self._counted -= self._answered.popleft().count
        short = self._counted + count - self.limit
        if short <= 0:
            return 0.0
        for leave in self._answered:
            short -= leave.count
            if short <= 0:
                return leave.ended + HOUR - now
        return HOUR

    def take(self, count: int) -> Leave:
        """Take leave for so many requests, which :meth:`wait` has said are allowed."""
        leave = Leave(count, self._env.now)
        self.history.append(leave)
        self._counted += count
        return leave

    def end(self, leave: Leave) -> None:
        """Say that the requests were answered."""
        leave.ended = self._env.now
        self._answered.append(leave)
