"""Columns and rows of a dataset; only the row groups of the page are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent
from fanfold.queries.values import json_value

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a dataset; ``null_share`` is from 0 to 1."""

    name: str
    type: str
    nulls: int
    null_share: float


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """One page of the rows of a dataset.

    ``rows`` is the number of rows of the dataset, ``offset`` the position of the first row of the
    page, from 0.
    """

    rows: int
    offset: int
    columns: tuple[Column, ...]
    page: tuple[list[Any], ...]


def rows_of(dataset: Path, *, offset: int, limit: int) -> DatasetPage:
    """Return a page of rows of a Parquet file, and its columns from the metadata.

    ``offset`` counts rows from 0.

    Raises:
        Inconsistent: The file is missing or damaged.
    """
    try:
        with pq.ParquetFile(dataset) as file:
            return DatasetPage(
                file.metadata.num_rows, offset, _columns(file), _page(file, offset, limit)
            )
    except (pa.ArrowException, OSError) as error:
        raise Inconsistent(
            f"{dataset} cannot be read as a dataset ({error}); clear `consolidate` with its "
            "downstream tasks."
        ) from error


def _columns(file: pq.ParquetFile) -> tuple[Column, ...]:
    rows = file.metadata.num_rows
    nulls = [0] * len(file.schema_arrow)
    for group in range(file.num_row_groups):
        chunks = file.metadata.row_group(group)
        for number in range(chunks.num_columns):
            statistics = chunks.column(number).statistics
            nulls[number] += statistics.null_count if statistics else 0
    return tuple(
        Column(field.name, _type(field.type), count, count / rows if rows else 0.0)
        for field, count in zip(file.schema_arrow, nulls, strict=True)
    )


def _type(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return "category"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return str(kind)


def _page(file: pq.ParquetFile, offset: int, limit: int) -> tuple[list[Any], ...]:
    """Read only the row groups that hold the rows."""
    found: list[pa.Table] = []
    wanted = limit
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if wanted and offset < size:
            rows = file.read_row_group(group, use_threads=False).slice(offset, wanted)
            found.append(rows)
            wanted -= rows.num_rows
        offset = max(0, offset - size)
    return tuple(
        [json_value(value) for value in row.values()]
        for table in found
        for row in table.to_pylist()
    )
