"""Rows in pieces of bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.parquet as pq

_FIXED = 8
_TEXTS = {pa.string(), pa.large_string(), pa.binary(), pa.large_binary()}


def batches_of(
    file: pq.ParquetFile, rows: int, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file, each batch of at most ``rows`` and of one row group."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)


def row_sizes(rows: pa.RecordBatch | pa.Table) -> np.ndarray[Any, Any]:
    """Return about how many bytes each row takes: by its values, not by how they are held in memory."""
    sizes = np.zeros(len(rows), np.int64)
    for column in rows.columns:
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        sizes += np.concatenate([_sizes(chunk) for chunk in chunks] or [sizes])
    return sizes


def _sizes(values: pa.Array) -> np.ndarray[Any, Any]:
    types, kind = pa.types, values.type
    sizes: np.ndarray[Any, Any] = np.full(len(values), _FIXED, np.int64)
    if types.is_dictionary(kind):
        # Not decoded: a text that repeats is in memory once.
        places = pc.fill_null(values.indices.cast(pa.int64()), len(values.dictionary))
        sizes = np.append(_sizes(values.dictionary), _FIXED)[places.to_numpy()]
    elif kind in _TEXTS:
        sizes += pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
    elif types.is_struct(kind):
        for field in values.flatten():
            sizes += _sizes(field)
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        # Also the elements below a null, which take memory, too.
        offsets = values.offsets.to_numpy()
        first, last = int(offsets[0]), int(offsets[-1])
        ends = np.cumsum(_sizes(values.values.slice(first, last - first)))
        sizes += np.diff(np.append(0, ends)[offsets - first])
    return sizes
