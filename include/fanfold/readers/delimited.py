"""The records of a CSV file, by RFC 4180: a quote that is never closed would swallow all that follows."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.readers.limited import MAX_LINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RECORD_LINES = 100
"""Lines of a record: the next quote after one that is not closed may be far below."""


class Records:
    """An iterator over the records of a CSV file; a blank line is an empty one.

    Attributes:
        line: The last line of the record that was returned last, from 1.

    Raises:
        BadInput: A quote is not closed, or not doubled within a value.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
        self.line = 0
        self._name = name
        self._size = 0
        self._is_open = False
        self._opened: list[int] = []  # lines of the record whose last quote opens a value
        self._reader = csv.reader(self._followed(lines), strict=True)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        try:
            record = next(self._reader)
        except csv.Error as error:
            # At the end of the file it is the last one; before, what follows a quote shows that it was not
            # to be closed here.
            raise self._unclosed(-1 if "unexpected end" in str(error) else 0) from None
        self.line = self._reader.line_num
        self._size, self._is_open = 0, False
        self._opened.clear()
        return record

    def _followed(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield lines; remember where quotes open."""
        for number, line in enumerate(lines, start=1):
            if quotes := line.count('"'):
                self._is_open ^= bool(quotes % 2)
                if self._is_open:
                    self._opened.append(number)
            self._size += len(line)
            if number > self.line + 1 and (
                number > self.line + _RECORD_LINES or self._size > MAX_LINE
            ):
                raise self._unclosed(0)
            yield line

    def _unclosed(self, which: int) -> BadInput:
        line = self._opened[which] if self._opened else self.line + 1
        return BadInput(
            f"items_uri: {self._name}, line {line}: a quote opens that is not closed, or a quote within a "
            f"value is not doubled. Correct it; a record has up to {_RECORD_LINES} lines and "
            f"{MAX_LINE:,} characters."
        )
