"""Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fanfold.messages import ENGINE
from fanfold.stages.processing.coercion import masked_type, shown
from fanfold.stages.processing.files.pieces import RECORDS, Piece
from fanfold.stages.processing.files.streams import CHUNK, Flaw
from fanfold.storage.parquet import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.sources import Files
    from fanfold.stages.processing.files.columns import Columns


def read_parquet(
    stream: pa.NativeFile, source: Files, columns: Columns, extra: dict[str, None]
) -> Iterator[Piece]:
    """Yield the rows of a Parquet file.

    Types do not depend on the values: integers and booleans are nullable, decimals and dates those of
    Arrow, lists and structs those of Python.

    Raises:
        Flaw: The file is invalid.
    """
    if not stream.size():
        return
    try:
        # The default of the unit, ns, makes 1816 of the year 9999.
        file = Table(stream, coerce_int96_timestamp_unit="us")
        names = file.file.schema_arrow.names
        places = columns.match(names, extra)
        read = [names[place] for place in places.values()]
        count, decoded = 0, 0
        for batch in file.batches(read, RECORDS, CHUNK, source.max_line_bytes):
            if max(file.size, decoded) > source.max_decoded_bytes:
                raise Flaw(ENGINE.message("decode.size", limit=f"{source.max_decoded_bytes:,}"))
            table = pa.Table.from_batches([batch]).select(read)
            table = _plain(table.rename_columns(list(places)).replace_schema_metadata())
            frame = table.to_pandas(types_mapper=_dtype, date_as_object=False)
            for name in table.column_names:
                if pa.types.is_nested(table[name].type):  # pandas makes floats of [1, None]
                    frame[name] = pd.Series(table[name].to_pylist(), dtype=object)
            frame.index = pd.Index(np.arange(len(frame)) + count + 1)
            count += len(frame)
            decoded += table.nbytes
            yield Piece(frame.reindex(columns=columns.of_frame(extra)), table.nbytes)
    except (pa.ArrowException, OSError, OverflowError) as error:
        if getattr(error, "errno", None) is not None:  # the disk, not the file
            raise
        raise Flaw(ENGINE.message("decode.parquet", error=shown(str(error)))) from None


def _plain(table: pa.Table) -> pa.Table:
    """Return a table without dictionaries: those of two batches may differ."""
    fields = (
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    )
    return table.cast(pa.schema(fields))


def _dtype(type_: pa.DataType) -> Any:
    types = pa.types
    if types.is_integer(type_) or types.is_boolean(type_):
        return masked_type(type_)
    if types.is_decimal(type_) or types.is_date(type_):
        return pd.ArrowDtype(type_)
    return None
