"""Aggregate a dataset for the charts, in one pass over its Parquet file.

The quartiles need all values of a column in memory: about 30 bytes a row with the copies of numpy.
"""

from __future__ import annotations

import bisect
import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

TOP = 20
RECENCY_DAYS = (0, 1, 7, 30, 90, 365)
"""Lower bounds of the bands of days since the last post."""

# Three bins per decade of about equal width on a log scale, with round edges.
_STEPS = (1.0, 2.2, 4.6)
COUNT_EDGES = tuple(float(f"{step}e{decade}") for decade in range(13) for step in _STEPS)
RATE_EDGES = tuple(float(f"{step}e{decade}") for decade in range(-3, 6) for step in _STEPS)

_BATCH_ROWS = 10_000
_REGIONS_KEPT = 10_000
_COLUMNS = (
    "user_id", "screen_name", "name", "region", "verified", "verified_type", "followers_count",
    "statuses_per_day", "created_at", "last_status_at", "as_of",
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """An account with many followers; ``row`` is its negated position, so that ties sort by it."""

    followers: int
    row: int
    user_id: str
    screen_name: str
    name: str | None = field(compare=False)


@dataclass(slots=True)
class Spread:
    """The distribution of a column on a log scale.

    Attributes:
        edges: Lower bounds of the bins; the first bin includes smaller values.
        zeros: Number of zeros.
        counts: Number of positive values by bin.
        quartiles: Lower quartile, median and upper quartile; None without values.
    """

    edges: tuple[float, ...]
    zeros: int = 0
    counts: list[int] = field(default_factory=list)
    total: float = 0
    largest: float = 0
    quartiles: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        self.counts = [0] * len(self.edges)

    @property
    def values(self) -> int:
        """Number of values."""
        return self.zeros + sum(self.counts)

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count values, all of them at least 0."""
        if not len(values):
            return
        above = values[values > 0]
        self.zeros += len(values) - len(above)
        bins = np.searchsorted(self.edges, above, side="right") - 1
        for position, count in enumerate(np.bincount(np.maximum(bins, 0)).tolist()):
            self.counts[position] += count
        # Python integers do not overflow as an int64 sum over all batches might.
        self.total += values.sum().item()
        self.largest = max(self.largest, values.max().item())


@dataclass(slots=True)
class Aggregates:
    """Aggregates for the charts; the key None counts rows without a value."""

    rows: int = 0
    verified: int = 0
    followers: Spread = field(default_factory=lambda: Spread(COUNT_EDGES))
    rates: Spread = field(default_factory=lambda: Spread(RATE_EDGES))
    years: Counter[int] = field(default_factory=Counter)
    verified_types: Counter[str | None] = field(default_factory=Counter)
    regions: Counter[str | None] = field(default_factory=Counter)
    more_regions: int = 0
    recency: list[int] = field(default_factory=lambda: [0] * len(RECENCY_DAYS))
    never: int = 0
    top: list[Account] = field(default_factory=list)


def aggregate(dataset: Path) -> Aggregates:
    """Aggregate a dataset.

    Raises:
        Inconsistent: The file is missing or is not a dataset.
    """
    try:
        # pre_buffer would keep all row groups in memory.
        with pq.ParquetFile(dataset, pre_buffer=False) as file:
            return _aggregate(file)
    except (OSError, pa.ArrowException) as error:
        raise Inconsistent(
            f"Cannot read the dataset {dataset} ({error}). Clear `consolidate` with its downstream "
            "tasks."
        ) from error


def _aggregate(file: pq.ParquetFile) -> Aggregates:
    made = Aggregates()
    for batch in file.iter_batches(_BATCH_ROWS, columns=list(_COLUMNS), use_threads=False):
        _add(made, batch)
    for spread, column in (
        (made.followers, "followers_count"),
        (made.rates, "statuses_per_day"),
    ):
        if spread.values:
            values = _present(file.read([column], use_threads=False).column(0))
            first, second, third = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
            spread.quartiles = (first, second, third)
    made.top.sort(reverse=True)
    return made


def _present(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return the non-null values of a column."""
    return np.asarray(column.drop_null().to_numpy(zero_copy_only=False))


def _add(made: Aggregates, batch: pa.RecordBatch) -> None:
    _add_top(made, batch)
    made.rows += batch.num_rows
    made.verified += batch.column("verified").true_count
    made.followers.add(_present(batch.column("followers_count")))
    made.rates.add(_present(batch.column("statuses_per_day")))
    for year, count in _frequencies(pc.year(_moments(batch, "created_at"))):
        made.years[year] += count
    for kind, count in _frequencies(batch.column("verified_type").cast(pa.string())):
        made.verified_types[kind] += count
    for region, count in _frequencies(batch.column("region")):
        # Region names are free text: keep a limited number, count the rest together.
        if region in made.regions or len(made.regions) < _REGIONS_KEPT:
            made.regions[region] += count
        else:
            made.more_regions += count
    _add_recency(made, batch)


def _moments(batch: pa.RecordBatch, column: str) -> pa.Array:
    """Return UTC times without a zone, so that no time zone database is needed."""
    return batch.column(column).cast(pa.timestamp("us"))


def _frequencies(column: pa.Array) -> Iterator[tuple[Any, int]]:
    for pair in column.value_counts().to_pylist():
        yield pair["values"], pair["counts"]


def _add_recency(made: Aggregates, batch: pa.RecordBatch) -> None:
    age = pc.subtract(_moments(batch, "as_of"), _moments(batch, "last_status_at"))
    made.never += age.null_count
    # In a backfill a post may be later than the logical date: count it as day 0.
    days = _present(age).astype("timedelta64[D]").astype(np.int64).clip(min=0)
    for day, count in zip(*np.unique(days, return_counts=True), strict=True):
        made.recency[bisect.bisect_right(RECENCY_DAYS, day) - 1] += int(count)


def _add_top(made: Aggregates, batch: pa.RecordBatch) -> None:
    followers = batch.column("followers_count").to_numpy(zero_copy_only=False)
    if len(made.top) == TOP:
        candidates = np.flatnonzero(followers > made.top[0].followers)
    else:
        candidates = np.arange(len(followers))
    # Only the top rows of the batch can be among the top rows of the dataset.
    first = candidates[np.argsort(-followers[candidates], kind="stable")[:TOP]]
    rows = batch.take(pa.array(first, pa.int64())).to_pylist()
    for position, row in zip(first.tolist(), rows, strict=True):
        account = Account(
            row["followers_count"],
            -(made.rows + position),
            row["user_id"],
            row["screen_name"],
            row["name"],
        )
        if len(made.top) < TOP:
            heapq.heappush(made.top, account)
        else:
            heapq.heappushpop(made.top, account)
