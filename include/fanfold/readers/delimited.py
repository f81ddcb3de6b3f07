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
        self._taken: list[str] = []  # lines of the record
        self._size = 0
        self._reader = csv.reader(self._followed(lines), strict=True)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        self._taken.clear()
        self._size = 0
        try:
            record = next(self._reader)
        except csv.Error as error:
            raise self._unclosed(at_end="unexpected end" in str(error)) from None
        self.line = self._reader.line_num
        return record

    def _followed(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self._taken.append(line)
            self._size += len(line)
            if len(self._taken) > _RECORD_LINES or self._size > MAX_LINE:
                raise self._unclosed(at_end=False)
            yield line

    def _unclosed(self, *, at_end: bool) -> BadInput:
        line = self.line + 1 + line_of_open_quote(self._taken, '"', at_end=at_end)
        return BadInput(
            f"items_uri: {self._name}, line {line}: a quote opens that is not closed, or a quote within a "
            f"value is not doubled. Correct it; a record has up to {_RECORD_LINES} lines and "
            f"{MAX_LINE:,} characters."
        )
