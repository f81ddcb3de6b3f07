"""The request quota: per second and per window (an hour on Weibo)."""

from __future__ import annotations

import time

UNLIMITED = 1_000_000
"""The constant limit that the APIs report without a quota."""


class Window:
    """At most ``limit`` requests in a window that starts with its first request."""

    def __init__(self, limit: int | None, length_s: float) -> None:
        self.limit = limit
        self.length_s = length_s
        self._start = float("-inf")
        self.used = 0

    def left(self, now: float) -> int:
        """Return the requests left in the current window; start a new one if it is over."""
        if now - self._start >= self.length_s:
            self._start = now
            self.used = 0
        return UNLIMITED if self.limit is None else self.limit - self.used

    def reset_in(self, now: float) -> float:
        """Return the seconds until the window ends."""
        return self._start + self.length_s - now


class Quota:
    """Both windows; rejected requests are not counted."""

    def __init__(
        self,
        per_second: int | None = None,
        per_window: int | None = None,
        window_s: float = 3600,
        code: int = 10023,
    ) -> None:
        self.second = Window(per_second, 1.0)
        self.window = Window(per_window, window_s)
        self._code = code

    def take(self) -> int | None:
        """Count a request, or return Weibo's error code if the quota is exhausted."""
        now = time.monotonic()
        if not self.window.left(now):
            return self._code
        if not self.second.left(now):
            return 10024
        self.second.used += 1
        self.window.used += 1
        return None

    @property
    def limit(self) -> int:
        """Requests per window."""
        return UNLIMITED if self.window.limit is None else self.window.limit

    def state(self) -> tuple[int, float]:
        """Return the requests left in the window, and the seconds until it resets."""
        now = time.monotonic()
        return self.window.left(now), self.window.reset_in(now)


UNLIMITED_QUOTA = Quota()
