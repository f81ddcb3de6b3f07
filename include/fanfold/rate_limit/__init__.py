"""The rate limit of a server and token, shared by all tasks, runs and workers.

__init__.py        opens the rate limiter of an endpoint
limiter.py         hands permits to the threads of a task
sliding_window.py  the algorithm, on pyrate-limiter; sliding_window.lua is its Redis script
file_store.py      shared state on one machine
redis_store.py     shared state of a cluster
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from fanfold.errors import QuotaSpent
from fanfold.messages import Message
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.rate_limit.limiter import SharedRateLimiter, Store


class RateLimiter(Protocol):
    """Grants permits for requests.

    Attributes:
        waiting: Number of requests that wait for a permit.
        slowed_by: Why requests wait now: ``429`` or ``503`` if a response asked for a pause, ``quota``,
            ``rate`` (requests per second), or None.
    """

    @property
    def waiting(self) -> int: ...  # noqa: D102

    @property
    def slowed_by(self) -> str | None: ...  # noqa: D102

    def acquire(self, stop: threading.Event) -> bool:
        """Wait for a permit for one request; return False if ``stop`` is set first.

        Raises:
            QuotaSpent: The wait would exceed ``max_wait`` because of a pause or the hourly limit.
            RateLimitUnavailable: The shared state cannot be read or written.
        """

    def pause(self, seconds: float, reason: Message) -> None:
        """Pause all requests to this server with this token, in every process.

        A longer pause that is already in effect is kept.
        """


class Clock:
    """Monotonic time and interruptible waits; tests pass a virtual clock."""

    def now(self) -> float:
        """Return monotonic seconds, the same clock for all processes of the machine."""
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Sleep until ``stop`` is set; return False on timeout."""
        return stop.wait(seconds)


SYSTEM_CLOCK = Clock()


def cause_of_pause(reason: Message) -> str:
    """Return the status of the response that asked for a pause, or ``quota``."""
    status = str(reason.params.get("status"))
    return status if status in {"429", "503"} else "quota"


class Unlimited:
    """No rate limit; a pause applies to this process only. For tests and benchmarks.

    Args:
        max_wait: Longest pause to wait for, in seconds.
        clock: Time source.
    """

    waiting = 0

    def __init__(self, max_wait: float = 60.0, clock: Clock = SYSTEM_CLOCK) -> None:
        self._max_wait = max_wait
        self._clock = clock
        self._until = float("-inf")
        self._reason = Message("")

    @property
    def slowed_by(self) -> str | None:
        """Why requests are paused, or None."""
        return cause_of_pause(self._reason) if self._until > self._clock.now() else None

    def acquire(self, stop: threading.Event) -> bool:
        """Wait until the pause is over; return False if ``stop`` is set first."""
        while not stop.is_set():
            seconds = self._until - self._clock.now()
            if seconds <= 0:
                return True
            if seconds > self._max_wait:
                reset_at = datetime.now(UTC) + timedelta(seconds=seconds)
                raise QuotaSpent(self._reason, reset_at=reset_at)
            self._clock.wait(stop, seconds)
        return False

    def pause(self, seconds: float, reason: Message) -> None:
        """Pause requests; a longer pause that is already in effect is kept."""
        until = self._clock.now() + seconds
        if until > self._until:
            self._until, self._reason = until, reason


@contextmanager
def open_rate_limiter(  # noqa: PLR0913 - everything that a limiter depends on
    folder: Path,
    scope: str,
    requests_per_second: float | None,
    requests_per_hour: float | None,
    *,
    redis_url: str | None = None,
    max_wait: float = 60.0,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[SharedRateLimiter]:
    """Open the rate limiter of an endpoint.

    Without limits, ``acquire`` only waits for pauses. Tasks of one scope with different rates
    each stay under their own rate, and together under the highest one.

    Args:
        folder: Directory shared by all processes of this machine. Unused with Redis.
        scope: What the limit belongs to, as :attr:`fanfold.sources.endpoint.Endpoint.scope`.
        requests_per_second: Limit for any second, or None.
        requests_per_hour: Limit for any 60 minutes, or None.
        redis_url: Redis that all workers can reach; required for workers on several machines.
        max_wait: Longest wait for a pause or the hourly limit, in seconds.
        clock: Time source.

    Yields:
        The limiter to call before each request.

    Raises:
        BadConfiguration: A limit is out of range, or the Redis URL is invalid.
    """
    from fanfold.rate_limit.limiter import SharedRateLimiter
    from fanfold.rate_limit.sliding_window import Limits

    limits = Limits(requests_per_second, requests_per_hour)
    with closing(open_store(folder, scope, redis_url=redis_url, clock=clock)) as store:
        yield SharedRateLimiter(store, limits, max_wait, clock)


def open_store(
    folder: Path, scope: str, *, redis_url: str | None = None, clock: Clock = SYSTEM_CLOCK
) -> Store:
    """Return the state of a rate limit, with its pause; as :func:`open_rate_limiter`."""
    if redis_url:
        from fanfold.rate_limit.redis_store import RedisStore

        return RedisStore.at(redis_url, scope)
    from fanfold.rate_limit.file_store import FileStore

    return FileStore(folder / f"{safe_name(scope)}.json", clock.now)
