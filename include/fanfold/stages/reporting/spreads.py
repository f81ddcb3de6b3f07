"""Bars and marks of a histogram."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fanfold.stages.reporting.chart import Bar, Mark
from fanfold.stages.reporting.wording import full, number, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.stages.reporting.aggregates import Spread
    from fanfold.stages.reporting.wording import Text

_BINS_A_DECADE = 3
_FEWEST_DECADES = 3


def histogram(spread: Spread, *, whole_numbers: bool) -> tuple[Bar, ...]:
    """Return a bar for the zeros and one for each bin of the decades with values."""
    bars = [Bar(full(0), spread.zeros, "muted")] if spread.zeros else []
    filled = [position for position, count in enumerate(spread.counts) if count]
    if not filled:
        return tuple(bars)
    first, last = filled[0] // _BINS_A_DECADE, filled[-1] // _BINS_A_DECADE + 1
    short = max(_FEWEST_DECADES - (last - first), 0)
    # Center the values, as far as there are bins on both sides.
    most = len(spread.edges) // _BINS_A_DECADE
    first = min(max(first - (short + 1) // 2, 0), most - (last - first + short))
    last = max(last, first + _FEWEST_DECADES)
    name = _count_range if whole_numbers else _rate_range
    for position in range(first * _BINS_A_DECADE, last * _BINS_A_DECADE):
        low, high = _ends(spread.edges, position)
        bars.append(
            Bar(
                name(spread.edges, position),
                spread.counts[position],
                span=(math.log10(low), math.log10(high)),
            )
        )
    return tuple(bars)


def quartile_marks(
    quartiles: tuple[float, float, float], written: Callable[[float], Text]
) -> tuple[Mark, ...]:
    """Return the lines at the quartiles, with values formatted by ``written``."""
    names = ("first_quartile", "median", "third_quartile")
    return tuple(
        Mark(value, say(name, value=written(value)))
        for name, value in zip(names, quartiles, strict=True)
    )


def _ends(edges: tuple[float, ...], position: int) -> tuple[float, float]:
    """Return the ends of a bin; the last one ends with its decade."""
    following = (*edges[1:], 10 * edges[-_BINS_A_DECADE])
    return edges[position], following[position]


def _count_range(edges: tuple[float, ...], position: int) -> Text:
    low, high = _ends(edges, position)
    return say("range", low=math.ceil(low), high=math.ceil(high) - 1)


def _rate_range(edges: tuple[float, ...], position: int) -> Text:
    low, high = _ends(edges, position)
    if position == 0:
        return say("range.under", high=number(high))
    if position == len(edges) - 1:
        return say("range.over", low=number(low))
    return say("range.rate", low=number(low), high=number(high))
