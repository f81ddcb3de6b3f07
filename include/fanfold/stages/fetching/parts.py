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
"""… or after these seconds."""

Sized = tuple["list[Done]", int]
"""Results, and the size of their records in bytes."""


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

    def add(self, results: Iterable[Done]) -> int:
        """Add the records of some items; return their size in bytes."""
        size = size_of(results)
        with self._changed:
            self._bytes += size
        return size

    def written(self, size: int) -> None:
        """Subtract some bytes, and let those who wait look again."""
        with self._changed:
            self._bytes -= size
            self._changed.notify_all()

    def wait(self, stop: threading.Event) -> None:
        """Wait for room, or until the fetch stops and :meth:`written` is called."""
        with self._changed:
            self._changed.wait_for(lambda: stop.is_set() or self._bytes < BACKLOG_BYTES)


class PartBuffer:
    """Collects results; :meth:`take` hands them over when a part is due, at least every two seconds.

    Args:
        backlog: Gets the bytes of a part when it is written, which it is before the next call.
    """

    def __init__(self, backlog: Backlog | None = None) -> None:
        self._part: list[Done] = []
        self._records = 0
        self._bytes = self._taken = 0
        self._backlog = backlog
        self._due = time.monotonic() + PART_SECONDS

    def add(self, results: list[Done], size: int | None = None) -> None:
        """Add the results of some items; ``size`` is that of their records in bytes, if it is known."""
        self._part += results
        self._bytes += size_of(results) if size is None else size
        self._records += sum(len(records) for _, records in results if records)

    def due_in(self) -> float:
        """Return the seconds until a part is due, at least 0.01."""
        if self._backlog and self._taken:
            self._backlog.written(self._taken)
            self._taken = 0
        return max(0.01, self._due - time.monotonic())

    def take(self, *, last: bool = False) -> list[Done] | None:
        """Return the part if it is due, also an empty one, or the ``last`` one in any case; else None."""
        is_late = time.monotonic() >= self._due
        is_full = (
            len(self._part) >= PART_ITEMS
            or self._records >= PART_RECORDS
            or self._bytes >= PART_BYTES
        )
        if not (last or is_late or is_full):
            return None
        if is_late:
            self._due = time.monotonic() + PART_SECONDS
        part, self._part, self._records = self._part, [], 0
        self._taken, self._bytes = self._bytes, 0
        return part
