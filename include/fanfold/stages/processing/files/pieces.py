"""What the readers of all formats yield."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

import pandas as pd

from fanfold.stages.processing.coercion import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = 50_000
"""Records of a slice."""


class Refused(NamedTuple):
    """A record that cannot be read: its number in the file, from 1, its text and what it should be."""

    number: int
    value: str
    rule: str

    @classmethod
    def at(cls, number: int, line: int, text: bytes, rule: str) -> Self:
        """Return a record that begins in a line."""
        value = shown(text.decode().rstrip("\r\n"))
        return cls(number, f"line {line}: {value}", rule)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records of a file.

    Attributes:
        frame: The records; the index is their number in the file, from 1.
        bytes: Their size.
        refused: The records between them that cannot be read.
    """

    frame: pd.DataFrame
    bytes: int
    refused: list[Refused] = field(default_factory=list)

    def parts(self, records: int) -> Iterator[Piece]:
        """Yield the piece in equal parts of at most a number of records."""
        rest, count = self, max(1, -(-len(self.frame) // records))
        for left in range(count, 1, -1):
            part, rest = rest.split(len(rest.frame) // left)
            yield part
        yield rest

    def split(self, record: int) -> tuple[Piece, Piece]:
        """Return the records before a position, with those that cannot be read, and the others."""
        first = self.bytes * record // max(1, len(self.frame))
        return (
            Piece(self.frame.iloc[:record], first, self.refused),
            Piece(self.frame.iloc[record:], self.bytes - first),
        )

    def before(self, other: Piece) -> Piece:
        """Return the piece with another one after it."""
        frame = pd.concat([self.frame, other.frame]) if len(self.frame) else other.frame
        return Piece(frame, self.bytes + other.bytes, self.refused + other.refused)
