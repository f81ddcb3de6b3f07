"""What came of a simulation, and what it was that bounded it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter

    from quota import Hourly

BUSY = 0.75
"""From this share of the time on, something is called the bottleneck."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a simulation.

    Attributes:
        seconds: From the first start to the last end.
        runs: Start and end of each run.
        use: For how much of the time each resource was used, from 0 to 1.
        done: How often each (step, run, batch) was done; -1 for tasks that are not mapped.
        fetched: Items of all fetches.
        requests: Requests of all fetches.
        tries: Tasks that held a slot; one that was deferred counts again.
        deferrals: How often a fetch gave its slot back for a spent quota.
        quota: The quota by the hour, with each leave that it gave.
        statements: To the database.
        written: Bytes in all workspaces.
    """

    seconds: float
    runs: tuple[tuple[float, float], ...]
    use: dict[str, float]
    done: Counter[tuple[str, int, int]] = field(repr=False)
    fetched: int
    requests: int
    tries: int
    deferrals: int
    quota: Hourly = field(repr=False)
    statements: float
    written: float

    @property
    def longest(self) -> float:
        """Seconds of the longest run."""
        return max(end - start for start, end in self.runs)

    @property
    def bottleneck(self) -> str:
        """What bounds the time: the most used resource; slots only where nothing behind them is."""
        behind = {name: share for name, share in self.use.items() if name != "slots"}
        most = max(behind, key=behind.__getitem__)
        if behind[most] >= BUSY:
            return most
        return "slots" if self.use["slots"] >= BUSY else "single tasks"
