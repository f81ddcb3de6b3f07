"""What the simulator counts, so that a test can ask what really arrived."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, deque
from typing import Any

KEPT_UIDS = 200_000
"""Uids whose requests are counted one by one; beyond it the oldest is forgotten (about 20 MB)."""
SHOWN_UIDS = 1_000
"""Uids in the answer of ``GET /_stats``; ``?uids=all`` shows every one that is kept."""


_LONGEST_KEY = 64


def _short(key: str) -> str:
    """A key of bounded length, so that long items cost no more memory than short ones."""
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[:30]}…{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"


class Tally:
    """Counts by key with bounded memory: the key that was first seen longest ago goes first."""

    def __init__(self, kept: int = KEPT_UIDS) -> None:
        self._kept = kept
        self.counts: dict[str, int] = {}
        # The keys of counts in their order: the front of a dict is slow to find once it was cut.
        self._order: deque[str] = deque()
        self.forgotten = 0

    def add(self, key: str) -> int:
        """Count ``key`` once more and return its count."""
        key = _short(key)
        count = self.counts.get(key, 0) + 1
        self.counts[key] = count
        if count == 1:
            self._order.append(key)
            if len(self.counts) > self._kept:
                del self.counts[self._order.popleft()]
                self.forgotten += 1
        return count

    def of(self, key: str) -> int:
        """The count of one key."""
        return self.counts.get(_short(key), 0)


class Counters:
    """Counters of all API requests since the start or the last reset."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.connections_open = 0
        self.reset()

    def reset(self) -> None:
        """Start again from zero; what is in flight or open stays counted."""
        self._paths: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._faults: Counter[str] = Counter()
        self._uids = Tally()
        self._requests = 0
        self._recent: deque[float] = deque()
        self._most_in_one_second = 0
        self._most_in_flight = self.in_flight
        self._connections = self.connections_open
        self._first = self._last = 0.0

    def arrived(self, path: str, uids: list[str]) -> None:
        """Count one request on arrival."""
        self._requests += 1
        self._paths[path] += 1
        for uid in uids:
            self._uids.add(uid)
        now = time.monotonic()
        recent = self._recent
        recent.append(now)
        while recent[0] <= now - 1.0:
            recent.popleft()
        self._most_in_one_second = max(self._most_in_one_second, len(recent))
        self.in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self.in_flight)
        if uids:
            self._first = self._first or now
            self._last = now

    def decided(self, status: int, fault: str) -> None:
        """Count what is answered; status 0 stands for a connection dropped without one."""
        self._statuses[status] += 1
        if fault:
            self._faults[fault] += 1

    def connected(self) -> None:
        """Count one more connection."""
        self.connections_open += 1
        self._connections += 1

    def of_uid(self, uid: str) -> dict[str, Any]:
        """How often one uid was asked for."""
        return {"uid": uid, "requests": self._uids.of(uid)}

    def report(self, *, all_uids: bool = False) -> dict[str, Any]:
        """Everything, as the JSON object that ``GET /_stats`` answers (itself not in flight)."""
        uids = self._uids.counts
        shown = uids if all_uids else dict(list(uids.items())[:SHOWN_UIDS])
        return {
            "requests": self._requests,
            "most_in_one_second": self._most_in_one_second,
            "in_flight": self.in_flight,
            "most_in_flight": self._most_in_flight,
            "seconds": round(self._last - self._first, 4),
            "connections": self._connections,
            "connections_open": self.connections_open,
            "paths": dict(self._paths),
            "statuses": {str(status): count for status, count in self._statuses.items()},
            "faults": dict(self._faults),
            "uids_seen": len(uids) + self._uids.forgotten,
            "uids": shown,
        }
