"""Results of a fetch, collected until they make a part."""

from __future__ import annotations

import marshal
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fanfold.workspace.batch import Done

PART_ITEMS = 500
"""A part is handed over with this number of items …"""
PART_RECORDS = 10_000
"""… or of records …"""
PART_BYTES = 4 << 20
"""… or of bytes of records …"""
BACKLOG_BYTES = 2 * PART_BYTES
"""Bytes of records that are not written yet from which no further request is sent."""
PART_SECONDS = 2.0
"""… or after these seconds, if it has any items."""


def size_of(results: Iterable[Done]) -> int:
    """Return the size of some records in bytes, about that of their JSON, in a tenth of its time."""
    # Version 2 writes a text that repeats each time, as JSON does.
    found: list[Any] = [records for _, records in results if records]
    return sum(len(marshal.dumps(records, 2)) for records in found)


class Backlog:
    """The bytes of records that are not written yet. Thread-safe."""

    def __init__(self) -> None:
        self._bytes = 0
        self._changed = threading.Condition()

    def add(self, size: int) -> None:
        """Add some bytes; negative ones have been written."""
        with self._changed:
            self._bytes += size
            self._changed.notify_all()

    def wait(self, stop: threading.Event) -> None:
        """Wait for room, or until the fetch stops and :meth:`add` is called."""
        with self._changed:
            self._changed.wait_for(lambda: stop.is_set() or self._bytes < BACKLOG_BYTES)


class PartBuffer:
    """Collects results; :meth:`take` hands them over when a part is due."""

    def __init__(self) -> None:
        self._part: list[Done] = []
        self._records = 0
        self._bytes = 0
        self._due = time.monotonic() + PART_SECONDS

    def add(self, results: list[Done], size: int | None = None) -> None:
        """Add the results of some items; ``size`` is that of their records in bytes, if it is known."""
        self._part += results
        self._bytes += size_of(results) if size is None else size
        self._records += sum(len(records) for _, records in results if records)

    def due_in(self) -> float:
        """Return the seconds until a part is due, at least 0.01."""
        return max(0.01, self._due - time.monotonic())

    def take(self, *, last: bool = False) -> list[Done]:
        """Return the part if it is due, or the ``last`` one in any case; else an empty list."""
        is_late = time.monotonic() >= self._due
        is_full = (
            len(self._part) >= PART_ITEMS
            or self._records >= PART_RECORDS
            or self._bytes >= PART_BYTES
        )
        if not (last or is_late or is_full):
            return []
        if is_late:
            self._due = time.monotonic() + PART_SECONDS
        part, self._part, self._records, self._bytes = self._part, [], 0, 0
        return part
