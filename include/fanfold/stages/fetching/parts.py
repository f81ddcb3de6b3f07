"""Results of a fetch, collected until they make a part."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fanfold.workspace.batch import Done

PART_ITEMS = 500
"""A part is handed over with this number of items …"""
PART_RECORDS = 10_000
"""… or of records …"""
PART_SECONDS = 2.0
"""… or after these seconds, if it has any items."""


class PartBuffer:
    """Collects results; :meth:`take` hands them over when a part is due."""

    def __init__(self) -> None:
        self._part: list[Done] = []
        self._records = 0
        self._due = time.monotonic() + PART_SECONDS

    def add(self, results: list[Done]) -> None:
        """Add the results of some items."""
        self._part += results
        self._records += sum(len(records) for _, records in results if records)

    def due_in(self) -> float:
        """Return the seconds until a part is due, at least 0.01."""
        return max(0.01, self._due - time.monotonic())

    def take(self, *, last: bool = False) -> list[Done]:
        """Return the part if it is due, or the ``last`` one in any case; else an empty list."""
        is_late = time.monotonic() >= self._due
        is_full = len(self._part) >= PART_ITEMS or self._records >= PART_RECORDS
        if not (last or is_late or is_full):
            return []
        if is_late:
            self._due = time.monotonic() + PART_SECONDS
        part, self._part, self._records = self._part, [], 0
        return part
