"""Parquet files of others: a text that repeats is stored once, and a small file may unpack to terabytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.parquet as pq


def text_columns(schema: pq.ParquetSchema) -> list[str]:
    """Return the paths of the columns to give as ``read_dictionary``: texts and bytes, also in lists."""
    columns = map(schema.column, range(len(schema)))
    return [
        column.path
        for column in columns
        if column.physical_type == "BYTE_ARRAY" and column.logical_type.type != "DECIMAL"
    ]


def slices(batch: pa.RecordBatch, size: int, limit: int) -> Iterator[pa.RecordBatch]:
    """Yield a batch with dictionaries in slices that take about ``size`` bytes without them.

    Raises:
        OverflowError: A text has more than ``limit`` bytes, or the lists of a row more than 64 times that.
    """
    total = 0
    for column in batch.columns:
        unpacked = 0
        for texts in _texts(column):
            lengths = pc.binary_length(texts.dictionary)
            if (pc.max(lengths).as_py() or 0) > limit:
                raise OverflowError(f"a value has more than {limit:,} bytes")
            unpacked += pc.sum(lengths.take(texts.indices)).as_py() or 0
        if pa.types.is_nested(column.type) and unpacked > 64 * limit:
            raise OverflowError(f"the lists of a few rows have more than {64 * limit:,} bytes")
        total += unpacked
    rows = max(1, len(batch) * size // max(size, total))
    for start in range(0, len(batch), rows):
        yield batch.slice(start, rows)


def _texts(column: pa.Array) -> Iterator[pa.DictionaryArray]:
    if pa.types.is_dictionary(column.type):
        yield column
    elif pa.types.is_struct(column.type):
        for field in column.flatten():
            yield from _texts(field)
    elif pa.types.is_nested(column.type):
        yield from _texts(column.flatten())
