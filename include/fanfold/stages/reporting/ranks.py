"""Exact quartiles of a column in constant memory, by radix selection.

Each pass counts the values by their next 16 bits; four passes at most find the k-th smallest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]
    Float64s = npt.NDArray[np.float64]

_BITS = 16
_DIGITS = 1 << _BITS


def quartiles_of_counts(
    read: Callable[[], Iterable[Int64s]], count: int, largest: int
) -> tuple[float, float, float]:
    """Return the quartiles of non-negative integers, interpolated linearly as pandas does.

    Args:
        read: Reads the values as arrays; called once per pass.
        count: Number of values, at least one.
        largest: Largest value; a small one needs fewer passes.
    """
    ranks, weights = _positions(count)
    found = _select(read, ranks, largest)
    return _interpolated([float(found[rank]) for rank in ranks], weights)


def quartiles_of_rates(
    read: Callable[[], Iterable[Float64s]], count: int
) -> tuple[float, float, float]:
    """Return the quartiles of non-negative floats, as :func:`quartiles_of_counts` does."""

    # The bits of non-negative floats sort like the floats (IEEE 754); adding 0.0 normalizes -0.0.
    def bits() -> Iterator[Int64s]:
        return ((values + 0.0).view(np.int64) for values in read())

    ranks, weights = _positions(count)
    found = _select(bits, ranks, 2**63 - 1)
    values = np.array([found[rank] for rank in ranks], np.int64).view(np.float64)
    return _interpolated([float(value) for value in values], weights)


def _positions(count: int) -> tuple[list[int], list[float]]:
    """Return the ranks below and above each quartile, and the interpolation weights."""
    ranks: list[int] = []
    weights: list[float] = []
    for quarter in (1, 2, 3):
        position = (count - 1) * quarter / 4
        lower = int(position)
        ranks += [lower, min(lower + 1, count - 1)]
        weights.append(position - lower)
    return ranks, weights


def _interpolated(values: Sequence[float], weights: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = (
        low + (high - low) * weight
        for low, high, weight in zip(values[::2], values[1::2], weights, strict=True)
    )
    return first, second, third


def _select(
    read: Callable[[], Iterable[Int64s]], ranks: Sequence[int], largest: int
) -> dict[int, int]:
    """Return the value at each rank (from 0, in ascending order)."""
    # rank -> (prefix found so far, rank among the values with this prefix)
    found = {rank: (0, rank) for rank in ranks}
    top = (max(largest.bit_length() - 1, 0) // _BITS) * _BITS
    for shift in range(top, -1, -_BITS):
        tallies = {prefix: np.zeros(_DIGITS, np.int64) for prefix, _ in found.values()}
        for values in read():
            upper = values >> shift
            for prefix, tally in tallies.items():
                digits = upper[upper >> _BITS == prefix] & (_DIGITS - 1)
                counted = np.bincount(digits)
                tally[: len(counted)] += counted
        for rank, (prefix, within) in found.items():
            below = np.cumsum(tallies[prefix])
            digit = int(np.searchsorted(below, within, side="right"))
            passed = int(below[digit - 1]) if digit else 0
            found[rank] = (prefix << _BITS | digit, within - passed)
    return {rank: value for rank, (value, _) in found.items()}
