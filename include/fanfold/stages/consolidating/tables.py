"""Write a table as Parquet and CSV; memory is bounded by a few row groups.

The bytes depend only on the rows, not on the batches in which they come.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from zlib_ng import gzip_ng

from fanfold.workspace.csv_cells import for_csv
from fanfold.workspace.files import whole_file
from fanfold.workspace.rows import row_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ROW_GROUP = 20_000
"""Rows of a row group, unless they take more than :data:`GROUP_BYTES`; of user profiles about 6 MB in
memory."""
GROUP_BYTES = 16 << 20
CSV_LEVEL = 3
"""gzip level of zlib-ng: files are 1 % larger than at zlib's level 4 and take half of its time.

Unlike those of ISA-L, which is faster, its bytes do not depend on the processor.
"""


def write_table(
    parquet: Path, csv: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> int:
    """Write record batches of a schema as Parquet (zstd) and CSV (gzip).

    Returns:
        The number of rows.

    Raises:
        WorkspaceUnavailable: The disk is full, read-only or not responding.
    """
    rows = 0
    with (
        whole_file(csv) as csv_path,
        whole_file(parquet) as parquet_path,
        _csv_writer(csv_path, schema) as csv_writer,
        pq.ParquetWriter(parquet_path, schema, compression="zstd") as parquet_writer,
        # CSV and gzip release the GIL: they run beside Parquet and the reading of the next group.
        ThreadPoolExecutor(1, "csv") as csv_thread,
    ):
        written = csv_thread.submit(int)  # nothing yet
        for group in row_groups(batches):
            parquet_writer.write_table(group)
            cells = for_csv(group)
            written.result()
            written = csv_thread.submit(csv_writer.write_table, cells)
            rows += len(group)
        written.result()
    return rows


def row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the rows in tables of :data:`ROW_GROUP` rows, or of fewer that reach :data:`GROUP_BYTES`."""
    pending: list[pa.RecordBatch] = []
    missing, room = ROW_GROUP, GROUP_BYTES
    for batch in batches:
        start, ends = 0, np.cumsum(row_sizes(batch))
        while start < len(batch):
            before = int(ends[start - 1]) if start else 0
            fitting = int(np.searchsorted(ends, before + room)) + 1 - start
            pending.append(batch.slice(start, min(missing, fitting)))
            start += len(pending[-1])
            missing -= len(pending[-1])
            room -= int(ends[start - 1]) - before
            if not missing or room <= 0:
                yield _one_table(pending)
                pending, missing, room = [], ROW_GROUP, GROUP_BYTES
    if pending:
        yield _one_table(pending)


def _one_table(batches: list[pa.RecordBatch]) -> pa.Table:
    table = pa.Table.from_batches(batches).combine_chunks()
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            # In order of appearance, whatever the dictionaries of the batches.
            values = table.column(index).cast(field.type.value_type)
            table = table.set_column(index, field, values.dictionary_encode().cast(field.type))
    return table


@contextmanager
def _csv_writer(path: Path, schema: pa.Schema) -> Iterator[pa_csv.CSVWriter]:
    with (
        path.open("wb") as file,
        # No name and no time in the header: the same rows give the same bytes.
        gzip_ng.GzipNGFile("", "wb", CSV_LEVEL, file, mtime=0) as stream,  # type: ignore[no-untyped-call]
        pa_csv.CSVWriter(stream, for_csv(schema.empty_table()).schema) as writer,
    ):
        yield writer
