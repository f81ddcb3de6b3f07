"""The rate budget of a connection: requests per second and hour, over all tasks, runs and workers.

__init__.py     what a task opens
gate.py         the threads of a task: one asks, each waits for its slot
pacing.py       how much is given and when: pure arithmetic
file_store.py   the shared state on one machine
redis_store.py  the shared state of a cluster; budget.lua is its arithmetic
"""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from fanfold.errors import QuotaSpent
from fanfold.messages import Message
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.stages.fetching.budget.store import Store


class Budget(Protocol):
    """Gives leave for requests."""

    def acquire(self, stop: threading.Event) -> bool:
        """Wait for leave for one request; return False where ``stop`` was set meanwhile.

        Raises:
            QuotaSpent: Leave is further away than the budget's patience, because of a hold or
                because the hour's budget is spent.
            BudgetUnavailable: What the processes share cannot be had.
        """

    def hold(self, seconds: float, reason: Message) -> None:
        """Let nobody on this connection, in any process, ask before ``seconds`` are over.

        A longer hold that stands is kept.
        """


class Unlimited:
    """No budget and nothing shared: only its own holds. For tests and measurements.

    Args:
        patience: Seconds of a hold that are waited for.
    """

    def __init__(self, patience: float = 60.0) -> None:
        self._patience = patience
        self._held_until = float("-inf")
        self._reason = Message("")
        self._lock = threading.Lock()

    def acquire(self, stop: threading.Event) -> bool:
        """Wait for the end of a hold; return False where ``stop`` was set meanwhile."""
        while (seconds := self._held_until - time.monotonic()) > 0:
            if seconds > self._patience:
                reset_at = datetime.now(UTC) + timedelta(seconds=seconds)
                raise QuotaSpent(self._reason, reset_at=reset_at)
            if stop.wait(seconds):
                return False
        return not stop.is_set()

    def hold(self, seconds: float, reason: Message) -> None:
        """Let nobody ask before ``seconds`` are over; a longer hold that stands is kept."""
        until = time.monotonic() + seconds
        with self._lock:
            if until > self._held_until:
                self._held_until, self._reason = until, reason


@contextmanager
def open_budget(  # noqa: PLR0913 - what a budget depends on
    folder: Path,
    connection: str,
    requests_per_second: float | None,
    requests_per_hour: float | None,
    *,
    redis_url: str | None = None,
    patience: float = 60.0,
) -> Iterator[Budget]:
    """Open the budget of a connection.

    A task that asks for fewer requests per second than others on the same connection stays under
    its own number, and all together stay under the largest. Without any number there is nothing
    to wait for but holds.

    Args:
        folder: A directory that all processes of this machine share. Not used with Redis.
        connection: Id of the connection.
        requests_per_second: Its budget, or None. Requests leave evenly, one each ``1 / n`` seconds.
        requests_per_hour: Its budget in any 60 minutes, or None.
        redis_url: A Redis that all workers reach, where they are on several machines.
        patience: Seconds of waiting for a hold or for the hour's budget; beyond, ``QuotaSpent``.

    Yields:
        Something to ask before each request.

    Raises:
        BadConfiguration: A number is too small, or the URL is not one of a Redis.
    """
    from fanfold.stages.fetching.budget.gate import SharedBudget
    from fanfold.stages.fetching.budget.pacing import Terms

    terms = Terms.of(requests_per_second, requests_per_hour)
    store: Store
    if redis_url:
        from fanfold.stages.fetching.budget.redis_store import RedisStore

        store = RedisStore.at(redis_url, connection, terms)
    else:
        from fanfold.stages.fetching.budget.file_store import FileStore, machine_clock

        store = FileStore(folder / f"{safe_name(connection)}.json", terms, machine_clock())
    with closing(SharedBudget(store, connection, terms, patience)) as budget:
        yield budget
