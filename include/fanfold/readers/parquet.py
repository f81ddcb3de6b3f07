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
    from fanfold.storage.parquet import Table

    with _errors(name):
        table = Table(source)
        if table.values > MAX_ITEMS:
            raise too_much(name, MAX_ITEMS, "rows, or elements of its lists")
        columns = columns or table.file.schema_arrow.names
        decoded = 0
        for batch in table.batches(columns, BLOCK_ITEMS, _BLOCK_BYTES, MAX_LINE):
            decoded += batch.nbytes
            if max(table.size, decoded) > MAX_DECODED_BYTES:
                raise too_much(name, MAX_DECODED_BYTES, "bytes after decompression")
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield dict(zip(batch.schema.names, row, strict=True))


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
