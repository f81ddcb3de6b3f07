"""Adaptive limit of concurrent requests: additive increase, multiplicative decrease, as in TCP.

Source: Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance",
1989, with TCP's slow start (RFC 5681): the limit doubles with each round of responses until the
first overload. Each task has its own limit; they share the source like TCP connections a link.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_INITIAL = 8
_MIN_ROUND = 8
"""Minimum number of responses of a round: fewer say nothing about latency."""
_LATENCY_FACTOR = 2.0
"""Latency is too high if a round is slower than the fastest one by this factor …"""
_LATENCY_SLACK = 0.05
"""… plus these seconds: less is due to our own threads."""
_DRIFT = 1.0002
"""Factor per round by which the fastest round is forgotten, because a source may become slower."""
_AFTER_OVERLOAD = 0.5
_AFTER_LATENCY = 0.8


@dataclass(slots=True)
class AdaptiveLimit:
    """Limit of concurrent requests. Not thread-safe: its owner holds a lock.

    Attributes:
        maximum: Upper bound: the ``concurrency`` of the run.
        size: Current limit, with its fraction.
        highest: Highest limit so far.
        decreases: Number of decreases.
    """

    maximum: int
    size: float = field(init=False)
    highest: int = field(init=False)
    decreases: int = field(default=0, init=False)
    _cause: str | None = field(default=None, init=False)
    _slow_start: bool = field(default=True, init=False)
    _fastest: float | None = field(default=None, init=False)
    _seconds: float = field(default=0.0, init=False)
    _responses: int = field(default=0, init=False)
    _round: int = field(default=_MIN_ROUND, init=False)
    _decreased_at: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self.size = float(min(self.maximum, _INITIAL))
        self.highest = int(self.size)

    @property
    def limit(self) -> int:
        """Current limit, at least 1."""
        return int(self.size)

    @property
    def slowed_by(self) -> str | None:
        """Cause of the last decrease, as long as the limit is below ``maximum``, or None."""
        return self._cause if self.size < self.maximum else None

    def set_maximum(self, maximum: int) -> None:
        """Change the upper bound; the limit grows to a higher one with the responses."""
        self.maximum = maximum
        self.size = min(self.size, float(maximum))

    def record_response(self, sent_at: float, now: float) -> None:
        """Record a response; both times in seconds of one monotonic clock."""
        self.size = min(self.maximum, self.size + (1.0 if self._slow_start else 1.0 / self.size))
        self.highest = max(self.highest, self.limit)
        self._seconds += now - sent_at
        self._responses += 1
        if self._responses >= self._round:
            self._end_round(now)

    def record_overload(self, sent_at: float, now: float, cause: str) -> None:
        """Record a 429, a 503, a timeout or a broken connection."""
        self._decrease(_AFTER_OVERLOAD, sent_at, now, cause)

    def _end_round(self, now: float) -> None:
        mean = self._seconds / self._responses
        self._seconds, self._responses = 0.0, 0
        self._round = max(self.limit, _MIN_ROUND)
        fastest = mean if self._fastest is None else min(mean, self._fastest * _DRIFT)
        self._fastest = fastest
        if mean > _LATENCY_FACTOR * fastest + _LATENCY_SLACK:
            self._decrease(_AFTER_LATENCY, now, now, "latency")

    def _decrease(self, factor: float, sent_at: float, now: float, cause: str) -> None:
        # A request sent before the last decrease says nothing about the limit since.
        if sent_at <= self._decreased_at:
            return
        self.size = max(1.0, self.size * factor)
        self._slow_start = False
        self._cause = cause
        self._decreased_at = now
        self.decreases += 1
