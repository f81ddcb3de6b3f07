"""The rate budget of a connection, shared by all tasks and runs on this machine.

The counting is pyrate-limiter's: a log of the granted requests in an SQLite file in the shared
directory, guarded by a file lock. Threads of a task take turns at it, and take leave for several
requests at once where the rate is high, so that the file is not touched for each of them.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Protocol

from pyrate_limiter import Duration, Rate, RateItem, SQLiteBucket

from fanfold.workspace import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEASES_PER_SECOND = 25
"""How often in a second a task asks for leave, at most."""
_POLL = 0.01


class Budget(Protocol):
    """Gives leave for requests."""

    def acquire(self, stop: threading.Event) -> bool:
        """Wait for leave for one request; return False where ``stop`` was set meanwhile."""


class Unlimited:
    """No budget: leave at once."""

    def acquire(self, stop: threading.Event) -> bool:
        """Return True unless ``stop`` is set."""
        return not stop.is_set()


class SharedBudget:
    """A budget that all processes share which open the same file."""

    def __init__(self, bucket: SQLiteBucket, lease: int) -> None:
        self._bucket = bucket
        self._lease = lease
        self._left = 0
        self._lock = threading.Lock()

    def acquire(self, stop: threading.Event) -> bool:
        """Wait for leave for one request; return False where ``stop`` was set meanwhile."""
        with self._lock:
            while self._left == 0:
                if stop.is_set():
                    return False
                if self._ask():
                    self._left = self._lease
                else:
                    stop.wait(_POLL)
            self._left -= 1
        return True

    def _ask(self) -> bool:
        # The file lock guards the count and the entry together, over all processes.
        with self._bucket.lock:
            now = time.time_ns() // 1_000_000
            self._bucket.leak(now)
            return self._bucket.put(RateItem("request", now, weight=self._lease))


@contextmanager
def open_budget(
    folder: Path,
    connection: str,
    requests_per_second: float | None,
    requests_per_hour: float | None,
) -> Iterator[Budget]:
    """Open the budget of a connection.

    Args:
        folder: A directory that all tasks of this installation share.
        connection: Id of the connection.
        requests_per_second: Its budget, or None. Below 1 it is kept as one request in so many
            milliseconds.
        requests_per_hour: Its budget, or None.

    Yields:
        Something to ask before each request.
    """
    rates = []
    if requests_per_second is not None:
        whole = max(1, int(requests_per_second))
        rates.append(Rate(whole, int(Duration.SECOND * whole / requests_per_second)))
    if requests_per_hour is not None:
        rates.append(Rate(max(1, int(requests_per_hour)), Duration.HOUR))
    if not rates:
        yield Unlimited()
        return
    folder.mkdir(parents=True, exist_ok=True)
    bucket = SQLiteBucket.init_from_file(
        rates,
        table="requests",
        db_path=str(folder / f"{safe_name(connection)}.sqlite"),
        use_file_lock=True,
    )
    lease = max(1, rates[0].limit // LEASES_PER_SECOND) if requests_per_second else 1
    with closing(bucket):
        yield SharedBudget(bucket, lease)
