"""Columns and rows of a dataset or fold; only the row groups of the page are read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent
from fanfold.queries.values import json_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``null_share`` is from 0 to 1. Both are None if the file does not tell."""

    name: str
    type: str
    nulls: int | None
    null_share: float | None


@dataclass(frozen=True, slots=True)
class Frequency:
    """A value and the number of its rows."""

    value: Any
    count: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """Rows by value: bin ``n`` is from edge ``n`` to edge ``n + 1``; edges are numbers or times."""

    edges: tuple[float | str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ColumnProfile(Column):
    """A column and its values.

    Attributes:
        distinct: Number of different values without null; None for a nested column.
        estimated: Whether ``distinct`` is an estimate, with an error of some percent.
        smallest, largest: None if there is no value, or the column is nested. NaN and infinity do not
            count, here and in what follows.
        mean, median: Of numbers; the median is an estimate.
        distribution: Of finite numbers and of times, if there are two different ones.
        frequent: The most frequent values of other columns, unless each occurs once, or there are too many.
    """

    distinct: int | None
    estimated: bool
    smallest: Any
    largest: Any
    mean: float | None
    median: float | None
    distribution: Distribution | None
    frequent: tuple[Frequency, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the dataset or of a fold, in order."""

    table: str
    columns: tuple[ColumnProfile, ...]


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """One page of the rows of a dataset or fold.

    ``table`` is its name, ``rows`` its number of rows, ``matched`` how many of them fit the filters,
    ``offset`` the position of the first row of the page among these, from 0.
    """

    table: str
    rows: int
    matched: int
    offset: int
    columns: tuple[Column, ...]
    page: tuple[list[Any], ...]


def rows_of(table: str, path: Path, *, offset: int, limit: int) -> DatasetPage:
    """Return a page of rows of a Parquet file, and its columns from the metadata.

    ``offset`` counts rows from 0.

    Raises:
        Inconsistent: The file is missing or damaged.
    """
    with readable(path), pq.ParquetFile(path) as file:
        rows = file.metadata.num_rows
        places = range(offset, min(offset + limit, rows))
        return DatasetPage(table, rows, rows, offset, columns_of(file), json_rows(file, places))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Translate the errors of a Parquet file."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise Inconsistent(
            f"{path} cannot be read as a dataset ({error}); clear `consolidate` with its "
            "downstream tasks."
        ) from error


def columns_of(file: pq.ParquetFile) -> tuple[Column, ...]:
    """Return the columns of a file, in order."""
    rows, nulls = file.metadata.num_rows, _nulls(file.metadata)
    found = []
    for field in file.schema_arrow:
        # A nested column has chunks of other names.
        count = nulls.get(field.name) if rows else 0
        share = None if count is None else count / max(rows, 1)
        found.append(Column(field.name, _type(field.type), count, share))
    return tuple(found)


def _nulls(metadata: pq.FileMetaData) -> dict[str, int | None]:
    """Return the number of nulls by column; None if a chunk has no statistics."""
    nulls: dict[str, int | None] = {}
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for number in range(chunks.num_columns):
            chunk = chunks.column(number)
            known = nulls.get(chunk.path_in_schema, 0)
            statistics = chunk.statistics
            if known is None or statistics is None or not statistics.has_null_count:
                nulls[chunk.path_in_schema] = None
            else:
                nulls[chunk.path_in_schema] = known + statistics.null_count
    return nulls


def _type(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return "category"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    return str(kind)


def json_rows(file: pq.ParquetFile, places: Sequence[int]) -> tuple[list[Any], ...]:
    """Return the rows at some places of a file, in that order; only their row groups are read."""
    found: dict[int, dict[str, Any]] = {}
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        wanted = [place for place in places if start <= place < end]
        if wanted:
            rows = file.read_row_group(group, use_threads=False)
            rows = rows.take([place - start for place in wanted])
            found |= zip(wanted, rows.to_pylist(), strict=True)
        start = end
    return tuple([json_value(value) for value in found[place].values()] for place in places)
