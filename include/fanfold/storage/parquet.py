"""Parquet files of others: a text that repeats is stored once, and a small file may unpack to terabytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_LEAST = 8
"""Bytes that a value takes at least, also one that repeats."""


class Table:
    """A Parquet file that is read in batches of bounded memory, whatever its texts are.

    Attributes:
        file: The file.
        size: Bytes of its rows after decompression, texts that repeat counted once.

    Args:
        source: The file.
        options: Those of :class:`pyarrow.parquet.ParquetFile`.
    """

    def __init__(self, source: Path | pa.NativeFile | Any, **options: Any) -> None:
        # The default reads the whole column of a row group at once: 100 MB and more.
        options = {"buffer_size": 1 << 20, "pre_buffer": False, **options}
        self.file = pq.ParquetFile(source, **options)
        metadata = self.file.metadata
        self._groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        self.size = sum(group.total_byte_size for group in self._groups)
        columns = [metadata.schema.column(place) for place in range(metadata.num_columns)]
        self._width = max((column.length for column in columns), default=0)  # of fixed length
        texts = [
            column.path
            for column in columns
            if column.physical_type == "BYTE_ARRAY" and column.logical_type.type != "DECIMAL"
        ]
        self._with_dictionaries = pq.ParquetFile(source, **options, read_dictionary=texts)

    @property
    def values(self) -> int:
        """Number of values of the longest column: rows, or elements of its lists."""
        return sum(map(_values, self._groups))

    def batches(
        self, columns: Sequence[str], rows: int, size: int, limit: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of at most ``rows`` that take about ``size`` bytes.

        Raises:
            OverflowError: A text that repeats has more than ``limit`` bytes, or the lists of a row more than
                64 times that.
        """
        for number, group in enumerate(self._groups):
            if not group.num_rows:
                continue
            longest = max(self._width, self._longest(number, columns))
            size_of_group = max(
                group.total_byte_size, longest * _values(group), _LEAST * sum(_counts(group))
            )
            row = size_of_group / group.num_rows
            if longest > limit:
                raise OverflowError(f"a value has more than {limit:,} bytes")
            if row > 64 * limit:
                raise OverflowError(f"the lists of a row have more than {64 * limit:,} bytes")
            count = max(1, min(rows, int(size / row)))
            yield from self.file.iter_batches(
                count, row_groups=[number], columns=columns, use_threads=False
            )

    def _longest(self, number: int, columns: Sequence[str]) -> int:
        """Return the length of the longest text in the dictionaries of a row group: its first row has them."""
        batches = self._with_dictionaries.iter_batches(
            1, row_groups=[number], columns=columns, use_threads=False
        )
        lengths = [
            pc.max(pc.binary_length(texts.dictionary)).as_py() or 0
            for column in next(batches).columns
            for texts in _texts(column)
        ]
        return max(lengths, default=0)


def _values(group: pq.RowGroupMetaData) -> int:
    return max(_counts(group), default=0)


def _counts(group: pq.RowGroupMetaData) -> Iterator[int]:
    return (group.column(place).num_values for place in range(group.num_columns))


def _texts(column: pa.Array) -> Iterator[pa.DictionaryArray]:
    if pa.types.is_dictionary(column.type):
        yield column
    elif pa.types.is_struct(column.type):
        for field in column.flatten():
            yield from _texts(field)
    elif pa.types.is_map(column.type):
        yield from _texts(column.keys)
        yield from _texts(column.items)
    elif pa.types.is_nested(column.type):
        yield from _texts(column.flatten())
