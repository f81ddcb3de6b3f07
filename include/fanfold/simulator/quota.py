"""How many requests an account may make: per second and per window (an hour on Weibo)."""

from __future__ import annotations

import time

UNLIMITED = 1_000_000
"""The limit that the APIs tell when no quota is set. It never goes down."""


class Window:
    """At most ``limit`` requests in a window that starts with the first request in it."""

    def __init__(self, limit: int | None, length_s: float) -> None:
        self.limit = limit
        self.length_s = length_s
        self._start = float("-inf")
        self._used = 0

    def _roll(self, now: float) -> None:
        if now - self._start >= self.length_s:
            self._start = now
            self._used = 0

    def full(self, now: float) -> bool:
        """Whether one more request would be too many."""
        if self.limit is None:
            return False
        self._roll(now)
        return self._used >= self.limit

    def take(self) -> None:
        """Count one request; only after :meth:`full` said that there is room."""
        self._used += 1

    def remaining(self, now: float) -> int:
        """Requests left in this window."""
        if self.limit is None:
            return UNLIMITED
        self._roll(now)
        return self.limit - self._used

    def reset_in(self, now: float) -> float:
        """Seconds until the window ends."""
        self._roll(now)
        return self._start + self.length_s - now


class Quota:
    """Both windows together. A refused request is not counted."""

    def __init__(
        self, per_second: int | None, per_window: int | None, window_s: float, code: int
    ) -> None:
        self.second = Window(per_second, 1.0)
        self.window = Window(per_window, window_s)
        self._code = code
        self._unlimited = per_second is None and per_window is None

    def take(self) -> int | None:
        """Count one request; returns Weibo's error code where it is one too many."""
        if self._unlimited:
            return None
        now = time.monotonic()
        if self.window.full(now):
            return self._code
        if self.second.full(now):
            return 10024
        self.second.take()
        self.window.take()
        return None

    @property
    def limit(self) -> int:
        """Requests per window."""
        return UNLIMITED if self.window.limit is None else self.window.limit

    def state(self) -> tuple[int, float]:
        """Requests left in the window, and seconds until it is reset."""
        now = time.monotonic()
        return self.window.remaining(now), self.window.reset_in(now)
