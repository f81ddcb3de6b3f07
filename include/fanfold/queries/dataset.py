"""Columns and rows of a dataset or fold; only the row groups of the page are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent
from fanfold.queries.values import json_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUFFER = 1 << 20
"""Bytes that are read of a column at a time."""
READ_BYTES = 1 << 20
"""Bytes of rows that are read at a time."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``null_share`` is from 0 to 1. Both are None if the file does not tell."""

    name: str
    type: str
    nulls: int | None
    null_share: float | None


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """One page of the rows of a dataset or fold.

    ``table`` is its name, ``rows`` its number of rows, ``offset`` the position of the first row of
    the page, from 0.
    """

    table: str
    rows: int
    offset: int
    columns: tuple[Column, ...]
    page: tuple[list[Any], ...]


def rows_of(table: str, path: Path, *, offset: int, limit: int) -> DatasetPage:
    """Return a page of rows of a Parquet file, and its columns from the metadata.

    ``offset`` counts rows from 0.

    Raises:
        Inconsistent: The file is missing or damaged.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER) as file:
            return DatasetPage(
                table, file.metadata.num_rows, offset, _columns(file), _page(file, offset, limit)
            )
    except (pa.ArrowException, OSError) as error:
        raise Inconsistent(
            f"{path} cannot be read as a dataset ({error}); clear `consolidate` with its "
            "downstream tasks."
        ) from error


def _columns(file: pq.ParquetFile) -> tuple[Column, ...]:
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


def _page(file: pq.ParquetFile, offset: int, limit: int) -> tuple[list[Any], ...]:
    """Read only the row groups that hold the rows."""
    found: list[list[Any]] = []
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if offset < size and len(found) < limit:
            for rows in rows_of_group(file, group, offset, limit - len(found)):
                found += ([json_value(value) for value in row.values()] for row in rows.to_pylist())
        offset = max(0, offset - size)
    return tuple(found)


def rows_of_group(
    file: pq.ParquetFile, group: int, offset: int, limit: int
) -> Iterator[pa.RecordBatch]:
    """Yield some rows of a row group, a few at a time: they may have long texts."""
    facts = file.metadata.row_group(group)
    few = max(1, min(facts.num_rows, READ_BYTES * facts.num_rows // max(1, facts.total_byte_size)))
    start = 0
    for rows in file.iter_batches(few, row_groups=[group], use_threads=False):
        if start >= offset + limit:
            return
        first, end = max(offset - start, 0), min(offset + limit - start, len(rows))
        if first < end:
            yield rows.slice(first, end - first)
        start += len(rows)
