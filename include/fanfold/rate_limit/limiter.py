"""The rate limiter of a task: its threads share permits that one of them takes from the store.

One thread at a time asks the store, for all threads that are waiting then. A permit expires after a
few milliseconds, because a request that is sent late could meet the requests of a later window.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from fanfold.errors import QuotaSpent, RateLimitUnavailable
from fanfold.messages import ENGINE, Message
from fanfold.rate_limit import cause_of_pause
from fanfold.rate_limit.sliding_window import Limits, SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrate_limiter import Decision, Rate, StateAlgorithm

    from fanfold.rate_limit import Clock

    T = TypeVar("T")

_ALGORITHM: Final = SlidingWindow()
_STORE_TIME: Final = 0
"""Stores decide by their own clock."""
_LIFETIME: Final = 0.01
"""Seconds for which a permit is valid; the rest of the window's margin is for the network."""
_HOURLY_LIFETIME: Final = 0.5
"""The same where there is only an hourly limit, whose window has a margin of a second."""
_PAUSE_TTL: Final = 0.05
"""Seconds for which a look-up of the pause is valid."""
_RECHECK: Final = 5.0
"""Longest sleep: another process may have started or ended a pause meanwhile."""
_UNAVAILABLE: Final = 15.0
"""Seconds for which an unavailable store is retried before the task fails."""
_RETRY: Final = 0.2
_RECENT: Final = 2.0
"""Seconds for which a wait for a limit counts as its cause: between two waits, requests are sent."""


class Store(Protocol):
    """State of one rate limit, shared with other processes: a pyrate-limiter store with a pause.

    Attributes:
        to_resume: What to do to end a pause early.

    All methods raise ``RateLimitUnavailable`` if the state cannot be read or written.
    """

    to_resume: str

    def check(
        self, algorithm: StateAlgorithm, rates: list[Rate], now: int, weight: int
    ) -> Decision:
        """Take ``weight`` permits, or return how long to wait."""

    def pause(self, seconds: float, reason: str) -> None:
        """Pause all processes; a longer pause that is already in effect is kept."""

    def paused(self) -> tuple[float, str]:
        """Return the remaining seconds of the pause, and its reason."""

    def close(self) -> None:
        """Close connections."""


class SharedRateLimiter:
    """A rate limiter, shared with other processes through a store.

    Attributes:
        expired: Permits that no thread used in time.
        waiting: Number of threads that wait for a permit.
    """

    def __init__(self, store: Store, limits: Limits, max_wait: float, clock: Clock) -> None:
        self.expired = 0
        self.waiting = 0
        self._store = store
        self._use(limits)
        self._max_wait = max_wait
        self._clock = clock
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._permits = 0
        self._expires_at = float("-inf")
        self._round_trip = 0.001
        self._pause_read_at = float("-inf")
        self._pause = (float("-inf"), "")
        self._limited_until = (float("-inf"), "")

    def set_rate(self, per_second: float | None) -> None:
        """Change the limit of a second; requests that wait look at it within ``_RECHECK`` seconds.

        Raises:
            BadConfiguration: It is out of range.
        """
        self._use(Limits(per_second, self._limits.per_hour))

    def _use(self, limits: Limits) -> None:
        self._limits = limits
        self._limited = limits.per_second is not None or limits.per_hour is not None
        self._lifetime = _LIFETIME if limits.per_second else _HOURLY_LIFETIME

    @property
    def slowed_by(self) -> str | None:
        """Why requests wait for a permit now or did so in the last seconds, or None."""
        now = self._clock.now()
        until, reason = self._pause
        if until > now:
            return cause_of_pause(Message.from_text(reason))
        until, cause = self._limited_until
        return cause if until + _RECENT > now else None

    def acquire(self, stop: threading.Event) -> bool:
        """Wait for a permit for one request; return False if ``stop`` is set first.

        Raises:
            QuotaSpent: The wait would exceed ``max_wait`` because of a pause or the hourly limit.
            RateLimitUnavailable: The store stays unavailable.
        """
        with self._counting:
            self.waiting += 1
        try:
            # Blocks without a timeout: as soon as ``stop`` is set, each thread passes its turn on.
            with self._turn:
                while not stop.is_set():
                    wait = self._wait_for_pause(stop)
                    if wait <= 0 and self._limited:
                        wait = self._wait_for_permit(stop)
                    if wait <= 0:
                        return not stop.is_set()
                    self._clock.wait(stop, min(wait, _RECHECK))
                return False
        except RateLimitUnavailable:
            if stop.is_set():
                return False
            raise
        finally:
            with self._counting:
                self.waiting -= 1

    def pause(self, seconds: float, reason: Message) -> None:
        """Pause all requests to this server with this token, in every process.

        Raises:
            RateLimitUnavailable: The store stays unavailable; this process pauses all the same.
        """
        text = reason.as_text()
        self._note_pause(seconds, text)
        self._retry(lambda: self._store.pause(seconds, text), threading.Event())

    def _wait_for_pause(self, stop: threading.Event) -> float:
        """Return the seconds until the pause ends; not positive if there is none."""
        now = self._clock.now()
        if now - self._pause_read_at >= _PAUSE_TTL:
            self._note_pause(*self._retry(self._store.paused, stop))
            self._pause_read_at = now
        until, reason = self._pause
        seconds = until - self._clock.now()
        self._check_max_wait(seconds, Message.from_text(reason))
        return seconds

    def _note_pause(self, seconds: float, reason: str) -> None:
        with self._counting:
            self._pause = max(self._pause, (self._clock.now() + seconds, reason))

    def _wait_for_permit(self, stop: threading.Event) -> float:
        """Use a permit and return 0, or return the seconds until there may be one."""
        if self._permits == 0 or self._clock.now() > self._expires_at:
            self.expired += self._permits
            self._permits = 0
            wait = self._take_permits(stop)
            if wait > 0:
                return wait
        self._permits -= 1
        return 0.0

    def _take_permits(self, stop: threading.Event) -> float:
        """Take permits for all waiting threads; return 0, or the seconds to wait."""
        hour = self._limits.rates[-1]
        weight = min(self.waiting, self._limits.batch)
        asked_at = self._clock.now()
        decision = self._check(weight, stop)
        if decision.failing_rate is hour and weight > 1:
            # The hour may have fewer permits left than there are threads.
            weight, asked_at = 1, self._clock.now()
            decision = self._check(weight, stop)
        if decision.allowed:
            # The store counted them at some time between question and answer. An answer that takes
            # longer than usual was delayed on its way back, for all that is known here.
            now = self._clock.now()
            self._round_trip = min(now - asked_at, self._round_trip * 1.2 + 0.0001)
            self._expires_at = asked_at + self._round_trip + self._lifetime
            if now > self._expires_at:
                self.expired += weight
                return _RETRY / 100
            self._permits = weight
            return 0.0
        seconds = (decision.retry_after_ms or 1) / 1000
        is_hour = decision.failing_rate is hour
        self._limited_until = self._clock.now() + seconds, "quota" if is_hour else "rate"
        if is_hour:
            self._check_max_wait(seconds, ENGINE.message("rate_limit.per_hour", n=hour.limit))
        return seconds

    def _check(self, weight: int, stop: threading.Event) -> Decision:
        return self._retry(
            lambda: self._store.check(_ALGORITHM, self._limits.rates, _STORE_TIME, weight), stop
        )

    def _check_max_wait(self, seconds: float, reason: Message) -> None:
        if seconds > self._max_wait:
            reset_at = datetime.now(UTC) + timedelta(seconds=seconds)
            raise QuotaSpent(reason, reset_at=reset_at)

    def _retry(self, call: Callable[[], T], stop: threading.Event) -> T:
        """Call the store; retry while it is unavailable, up to ``_UNAVAILABLE`` seconds."""
        give_up_at = self._clock.now() + _UNAVAILABLE
        while True:
            try:
                return call()
            except RateLimitUnavailable:
                if self._clock.now() > give_up_at or self._clock.wait(stop, _RETRY):
                    raise
