"""How many requests there were, and when: in cells, so that it stays small however many they are."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(slots=True)
class Log:
    """Slots in cells, oldest first.

    Attributes:
        cells: Of each cell its latest slot, which stands for all of them, and how many there are.
    """

    cells: list[list[int]] = field(default_factory=list)
    _total: int = field(init=False)

    def __post_init__(self) -> None:
        self._total = sum(count for _, count in self.cells)

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return the log of these cells."""
        return cls([[int(last), int(count)] for last, count in raw])

    def copy(self) -> Self:
        """Return a log with the same slots."""
        return type(self)([[last, count] for last, count in self.cells])

    def count(self, since: int) -> int:
        """Return how many slots there are from ``since`` on."""
        older = self.cells[: bisect_left(self.cells, [since])]
        return self._total - sum(count for _, count in older)

    def latest(self, offset: int) -> int:
        """Return when the latest slot was, or one before it by ``offset``.

        Raises:
            IndexError: There are fewer.
        """
        for last, count in reversed(self.cells):
            if offset < count:
                return last
            offset -= count
        raise IndexError(offset)

    def add(self, slot: int, count: int, cell: int) -> None:
        """Add slots to the cell of ``slot``."""
        self._total += count
        place = bisect_right(self.cells, [slot, 0])
        for near in (place - 1, place):
            if 0 <= near < len(self.cells) and self.cells[near][0] // cell == slot // cell:
                last, before = self.cells[near]
                self.cells[near] = [max(last, slot), before + count]
                return
        self.cells.insert(place, [slot, count])

    def remove(self, slot: int, cell: int) -> None:
        """Remove a slot, if its cell is here."""
        place = bisect_left(self.cells, [slot])
        if place < len(self.cells) and self.cells[place][0] // cell == slot // cell:
            self._total -= 1
            self.cells[place][1] -= 1
            if self.cells[place][1] == 0:
                del self.cells[place]

    def drop(self, count: int) -> None:
        """Remove the latest slots."""
        while count > 0 and self.cells:
            dropped = min(count, self.cells[-1][1])
            count -= dropped
            self._total -= dropped
            self.cells[-1][1] -= dropped
            if self.cells[-1][1] == 0:
                self.cells.pop()

    def forget(self, before: int) -> None:
        """Remove what was before a time."""
        older = bisect_left(self.cells, [before])
        self._total -= sum(count for _, count in self.cells[:older])
        del self.cells[:older]

    def shift(self, by: int) -> None:
        """Move everything in time."""
        self.cells = [[last + by, count] for last, count in self.cells]
