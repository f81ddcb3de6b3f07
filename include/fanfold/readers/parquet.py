"""Rows of Parquet files, in bounded memory."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput
from fanfold.readers.limited import MAX_DECODED_BYTES, MAX_ITEMS, MAX_LINE, too_much

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

BLOCK_ITEMS = 10_000
"""Items that are read from Parquet, and written, at once."""
_BUFFER = 1 << 20
"""Bytes of a column that are read at once."""
_BLOCK_BYTES = 8 << 20


def column_names(source: Path | BinaryIO, name: str) -> list[str]:
    """Return the names of the columns of a Parquet file; raises as :func:`rows_of`."""
    import pyarrow.parquet as pq

    with _errors(name):
        return list(pq.read_schema(source).names)


def rows_of(
    source: Path | BinaryIO, name: str, columns: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file with the values of Python.

    Args:
        source: The file.
        name: Its name in messages.
        columns: The columns to read; None for all.

    Raises:
        BadInput: It is no Parquet file, or damaged, or exceeds a limit (:mod:`fanfold.readers.limited`).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from fanfold.storage.parquet import slices, text_columns

    with _errors(name):
        texts = text_columns(pq.ParquetFile(source).schema)
        # The default reads the whole column of a row group at once: 100 MB and more.
        file = pq.ParquetFile(source, read_dictionary=texts, buffer_size=_BUFFER, pre_buffer=False)
        groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
        values = sum(
            max((group.column(n).num_values for n in range(group.num_columns)), default=0)
            for group in groups
        )
        if values > MAX_ITEMS:
            raise too_much(name, MAX_ITEMS, "rows, or elements of its lists")
        if size > MAX_DECODED_BYTES:
            raise too_much(name, MAX_DECODED_BYTES, "bytes after decompression")
        rows = max(1, min(BLOCK_ITEMS, _BLOCK_BYTES * file.metadata.num_rows // max(1, size)))
        for batch in file.iter_batches(rows, columns=columns, use_threads=False):
            for block in slices(batch, _BLOCK_BYTES, MAX_LINE):
                found = [
                    column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
                    for column in block.columns
                ]
                for row in zip(*(column.to_pylist() for column in found), strict=True):
                    yield dict(zip(block.schema.names, row, strict=True))


@contextlib.contextmanager
def _errors(name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except OverflowError as error:
        raise BadInput(f"items_uri: {name}: {error}. Correct the file.") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        if getattr(error, "errno", None) is not None:  # the disk, not the file
            raise
        raise BadInput(f"items_uri: {name} is not a Parquet file, or damaged.") from None
