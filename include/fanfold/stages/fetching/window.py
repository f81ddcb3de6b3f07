"""How many requests a task has in flight: up while answers are quick, down while the source strains.

Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain, "Analysis of the Increase
and Decrease Algorithms for Congestion Avoidance", 1989), with TCP's slow start (RFC 5681): the
number doubles with each round of answers until the first sign of strain. Each task has a window of
its own; they share the source as TCP connections share a link.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_FIRST = 8
"""Requests in flight at the start."""
_LEAST_ROUND = 8
"""Answers that make a round, at least: fewer say nothing about latency."""
_GROWN = 2.0
"""Latency has grown where a round took so many times as long as the quickest one …"""
_SLACK = 0.05
"""… and so many seconds: below, it is our own threads that wait for each other."""
_DRIFT = 1.0002
"""By so much the quickest round is forgotten with each round, for a source may become slower."""
_AFTER_STRAIN = 0.5
_AFTER_LATENCY = 0.8


@dataclass(slots=True)
class Window:
    """The number of requests in flight. Not thread-safe: its owner holds a lock.

    Attributes:
        most: It is never above this: the ``concurrency`` of the run.
        size: How many there may be now, a fraction included.
        highest: The highest whole number that it came to.
        strains: How often it was cut.
    """

    most: int
    size: float = field(init=False)
    highest: int = field(init=False)
    strains: int = field(default=0, init=False)
    _slow_start: bool = field(default=True, init=False)
    _quickest: float | None = field(default=None, init=False)
    _seconds: float = field(default=0.0, init=False)
    _answers: int = field(default=0, init=False)
    _round: int = field(default=_LEAST_ROUND, init=False)
    _cut_at: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self.size = float(min(self.most, _FIRST))
        self.highest = int(self.size)

    @property
    def limit(self) -> int:
        """Requests that there may be in flight now, at least 1."""
        return int(self.size)

    def answered(self, sent_at: float, now: float) -> None:
        """Note an answer to a request; both moments in seconds of one monotonic clock."""
        self.size = min(self.most, self.size + (1.0 if self._slow_start else 1.0 / self.size))
        self.highest = max(self.highest, self.limit)
        self._seconds += now - sent_at
        self._answers += 1
        if self._answers >= self._round:
            self._end_round(now)

    def strained(self, sent_at: float, now: float) -> None:
        """Note a 429, a 503, a time-out or a broken connection."""
        self._cut(_AFTER_STRAIN, sent_at, now)

    def _end_round(self, now: float) -> None:
        mean = self._seconds / self._answers
        self._seconds, self._answers = 0.0, 0
        self._round = max(self.limit, _LEAST_ROUND)
        quickest = mean if self._quickest is None else min(mean, self._quickest * _DRIFT)
        self._quickest = quickest
        if mean > _GROWN * quickest + _SLACK:
            self._cut(_AFTER_LATENCY, now, now)

    def _cut(self, by: float, sent_at: float, now: float) -> None:
        # What was sent before the last cut says nothing about the window since.
        if sent_at <= self._cut_at:
            return
        self.size = max(1.0, self.size * by)
        self._slow_start = False
        self._cut_at = now
        self.strains += 1
