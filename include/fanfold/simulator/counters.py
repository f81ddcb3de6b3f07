"""Statistics of the simulator."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, OrderedDict, deque
from typing import Any

KEPT_UIDS = 200_000
"""Number of uids with their own count; the oldest is evicted."""
SHOWN_UIDS = 1_000
"""Uids in the response to ``GET /_stats``, unless ``?uids=all`` is given."""
_LONGEST_KEY = 64


def _short(key: str) -> str:
    """Hash the end of long keys, to bound the memory."""
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[:30]}…{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"


class BoundedCounter:
    """Counts by key in bounded memory; the oldest key is evicted first."""

    def __init__(self, kept: int = KEPT_UIDS) -> None:
        self._kept = kept
        self.counts: OrderedDict[str, int] = OrderedDict()
        self.evicted = 0

    def add(self, key: str) -> int:
        """Increment and return the count of a key."""
        key = _short(key)
        count = self.counts.get(key, 0) + 1
        self.counts[key] = count
        if len(self.counts) > self._kept:
            self.counts.popitem(last=False)
            self.evicted += 1
        return count

    def of(self, key: str) -> int:
        """Return the count of a key."""
        return self.counts.get(_short(key), 0)


class Counters:
    """Counters of the API requests since the start or the last reset."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.connections_open = 0
        self.reset()

    def reset(self) -> None:
        """Reset all counters, except requests in flight and open connections."""
        self._paths: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._faults: Counter[str] = Counter()
        self._uids = BoundedCounter()
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
        """Count a response; status 0 is a connection closed without one."""
        self._statuses[status] += 1
        if fault:
            self._faults[fault] += 1

    def connected(self) -> None:
        """Count a new connection."""
        self.connections_open += 1
        self._connections += 1

    def of_uid(self, uid: str) -> dict[str, Any]:
        """Return the number of requests for a uid."""
        return {"uid": uid, "requests": self._uids.of(uid)}

    def report(self, *, all_uids: bool = False) -> dict[str, Any]:
        """Return all counters as the JSON object of ``GET /_stats``."""
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
            "uids_seen": len(uids) + self._uids.evicted,
            "uids": shown,
        }
