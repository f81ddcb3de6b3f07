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
    if types.is_dictionary(kind):
        return _sizes(values.dictionary.take(values.indices))
    sizes = np.full(len(values), _FIXED, np.int64)
    if types.is_string(kind) or types.is_large_string(kind) or _is_binary(kind):
        sizes += pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
    elif types.is_struct(kind):
        for field in values.flatten():
            sizes += _sizes(field)
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        # Also the elements below a null, which take memory, too.
        offsets = values.offsets.to_numpy()
        first = int(offsets[0])
        inner = (
            values.values
            if not types.is_map(kind)
            else pa.StructArray.from_arrays([values.keys, values.items], ["key", "value"])
        )
        ends = np.concatenate(
            [[0], np.cumsum(_sizes(inner.slice(first, int(offsets[-1]) - first)))]
        )
        sizes += np.diff(ends[offsets - first])
    return sizes


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
