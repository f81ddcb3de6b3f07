"""The records of a CSV file, by RFC 4180: a quote that is never closed would swallow all that follows."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.readers.limited import MAX_LINE
from fanfold.storage.quotes import line_of_open_quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RECORD_LINES = 100
"""Lines of a record: the next quote after one that is not closed may be far below."""


class Records:
    """The records of a CSV file, to iterate over once; a blank line is an empty one.

    Attributes:
        line: The last line of the record that was yielded last, from 1.

    Raises:
        BadInput: A quote is not closed, or not doubled within a value.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
        self.line = 0
        self._name = name
        self._lines = lines
        self._taken: list[str] = []  # lines of the record

    def __iter__(self) -> Iterator[list[str]]:
        reader = csv.reader(self._followed(), strict=True)
        try:
            for record in reader:
                self.line += len(self._taken)
                self._taken.clear()
                yield record
        except csv.Error as error:
            raise self._unclosed(at_end="unexpected end" in str(error)) from None

    def _followed(self) -> Iterator[str]:
        taken = self._taken
        for line in self._lines:
            taken.append(line)
            if len(taken) > 1 and (len(taken) > _RECORD_LINES or sum(map(len, taken)) > MAX_LINE):
                raise self._unclosed(at_end=False)
            yield line

    def _unclosed(self, *, at_end: bool) -> BadInput:
        line = self.line + 1 + line_of_open_quote(self._taken, '"', at_end=at_end)
        return BadInput(
            f"items_uri: {self._name}, line {line}: a quote opens that is not closed, or a quote within a "
            f"value is not doubled. Correct it; a record has up to {_RECORD_LINES} lines and "
            f"{MAX_LINE:,} characters."
        )
