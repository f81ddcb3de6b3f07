"""Where a quote opens that a CSV file does not close."""

from __future__ import annotations

from typing import TYPE_CHECKING, AnyStr

if TYPE_CHECKING:
    from collections.abc import Sequence


def line_of_open_quote(lines: Sequence[AnyStr], quote: AnyStr, *, at_end: bool) -> int:
    """Return the position of the line of a damaged record in which a quote opens.

    At the end of a file it is the last one that the lines leave open. If the record is damaged before, the
    first one: what follows its closing quote shows that this one opens another value.

    Args:
        lines: The lines of the record.
        quote: The quote.
        at_end: Whether the file ends within the record.
    """
    opened: list[int] = []
    is_open = False
    for position, line in enumerate(lines):
        if count := line.count(quote):
            is_open ^= bool(count % 2)
            if is_open:
                opened.append(position)
    return opened[-1 if at_end else 0] if opened else 0
