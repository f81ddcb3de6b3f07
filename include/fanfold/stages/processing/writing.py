"""The rows and rejected rows of a batch on their way to its files; memory is bounded by one slice.

Rows are written once as they come. Where some may have to be dropped later (of a file that turns out to
be invalid, of an item with a rejected row, with values that must be unique) they are copied without these.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fanfold.stages.processing.contract import AS_OF_FIELD
from fanfold.workspace.batch import ITEM
from fanfold.workspace.files import whole_file
from fanfold.workspace.rows import batches_of
from fanfold.workspace.sql import open_tables, quoted, record_batches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from fanfold.model import Rejected
    from fanfold.stages.processing.contract import Contract
    from fanfold.workspace.batch import Batch

ANOTHER_ROW = "another row of the item was rejected"
ROW = " row"
"""Column with the position of a row in its item, while rows are checked."""
_LINES = 10_000
_REJECTED = pa.schema(
    {"place": pa.int32(), "item": pa.string(), "row": pa.int64()}
    | dict.fromkeys(("column", "value", "rule"), pa.string())
)
_IN_ORDER = """
    SELECT item, "row", "column", "value", rule FROM rejected
    WHERE NOT list_contains($flawed::INTEGER[], place)
    ORDER BY place, "row", "column", "value", rule"""
_COPIED = 50_000


def rows_schema(contract: Contract) -> pa.Schema:
    """Return the schema of checked rows: :data:`ITEM`, the contract, ``as_of`` and :data:`ROW`."""
    item, row = pa.field(ITEM, pa.string(), nullable=False), pa.field(ROW, pa.int64())
    return pa.schema([item, *contract.schema, AS_OF_FIELD, row])


class RowWriter:
    """Writes the rows of a batch. Use :meth:`add`, then :meth:`finish`, then :meth:`rejected`.

    Args:
        batch: The batch.
        keys: Its items.
        contract: The contract that the rows obey.
        folder: Folder for temporary files.
        whole_items: Whether a rejected row rejects all rows of its item.

    Attributes:
        rows: Number of rows of each item.
    """

    def __init__(
        self,
        batch: Batch,
        keys: Sequence[str],
        contract: Contract,
        folder: Path,
        *,
        whole_items: bool,
    ) -> None:
        self.rows: Counter[str] = Counter()
        self._batch = batch
        self._keys = pa.array(keys, pa.string())
        schema = rows_schema(contract)
        self._schema = schema.remove(schema.get_field_index(ROW))
        self._unique = contract.unique
        self._whole_items = whole_items
        if not (contract.unique or whole_items):  # no rows are rejected by number
            schema = self._schema
        self._spilled = folder / "rows.parquet"
        self._rejected_file = folder / "rejected.parquet"
        self._writer = pq.ParquetWriter(self._spilled, schema, compression="zstd")
        self._rejected = pq.ParquetWriter(self._rejected_file, _REJECTED, compression="zstd")
        self._with_rejected: set[str] = set()

    def add(self, rows: pa.Table, rejected: Sequence[Rejected]) -> None:
        """Add the rows of a slice, with their numbers as :data:`ROW`, and its rejected rows."""
        if rows.num_rows:
            self._writer.write_table(rows.select(self._writer.schema.names))
            self.rows.update(_counts(rows[ITEM]))
        if rejected:
            self._reject(pa.Table.from_pylist(list(map(asdict, rejected)), _REJECTED.remove(0)))

    def finish(self, flawed: Sequence[str]) -> None:
        """Write the file of the rows, without those of some items."""
        self._writer.close()
        with whole_file(self._batch.rows_file) as final:
            if not (self._unique or self._whole_items or any(self.rows[key] for key in flawed)):
                self._spilled.replace(final)
            else:
                self._copy(final, flawed)
        self._rejected.close()

    def rejected(self, flawed: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rejected rows in order, without those of some items."""
        if not self._with_rejected.difference(flawed):
            return
        gone = pc.index_in(pa.array(flawed, pa.string()), value_set=self._keys).to_pylist()
        with open_tables({"rejected": self._rejected_file}, self._spilled.parent) as connection:
            found = connection.sql(_IN_ORDER, params={"flawed": gone})
            for batch in record_batches(found, _LINES, str(self._rejected_file)):
                yield from batch.to_pylist()

    def _copy(self, final: Path, flawed: Sequence[str]) -> None:
        """Copy the rows that are neither of a flawed item nor rejected after all."""
        repeated = list(self._repeated(flawed))
        self.rows.clear()
        start = 0
        with (
            pq.ParquetFile(self._spilled, pre_buffer=False) as file,
            pq.ParquetWriter(final, self._schema, compression="zstd") as writer,
        ):
            for batch in batches_of(file, _COPIED):
                rows = pa.Table.from_batches([batch])
                good = ~_is_in(rows[ITEM], flawed)
                for column, places in repeated:
                    again = np.isin(np.arange(start, start + len(rows)), places)
                    self._move(rows, again, column, "unique")
                    good &= ~again
                if self._whole_items:
                    others = good & _is_in(rows[ITEM], self._with_rejected)
                    self._move(rows, others, "", ANOTHER_ROW)
                    good &= ~others
                start += len(rows)
                kept = rows.filter(pa.array(good)).select(self._schema.names)
                writer.write_table(kept)
                self.rows.update(_counts(kept[ITEM]))

    def _repeated(self, flawed: Sequence[str]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
        """Yield each unique column, "" for several, with the positions of rows that repeat another."""
        gone: list[int] = []
        for columns in self._unique:
            names = ", ".join(map(quoted, columns))
            with open_tables({"rows": self._spilled}, self._spilled.parent) as connection:
                found = connection.sql(
                    f"""
                    SELECT file_row_number, {ITEM}
                    FROM read_parquet($path, file_row_number = true)
                    WHERE NOT list_contains($flawed::VARCHAR[], {ITEM})
                        AND file_row_number NOT IN (SELECT unnest($gone::BIGINT[]))
                    QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY file_row_number) > 1
                    ORDER BY file_row_number""",  # noqa: S608 - quoted names of the contract
                    params={"path": str(self._spilled), "flawed": list(flawed), "gone": gone},
                ).to_arrow_table()
            self._with_rejected.update(found[ITEM].unique().to_pylist())
            places = found["file_row_number"].to_numpy()
            gone += places.tolist()
            yield columns[0] if len(columns) == 1 else "", places

    def _move(self, rows: pa.Table, mask: np.ndarray[Any, Any], column: str, rule: str) -> None:
        """Add rows of a mask to the rejected ones."""
        moved = rows.filter(pa.array(mask))
        size = moved.num_rows
        if size:
            value = moved[column].cast(pa.string()) if column else pa.repeat("", size)
            places = [moved[ITEM], moved[ROW], pa.repeat(column, size)]
            arrays = [*places, value, pa.repeat(rule, size)]
            self._reject(pa.Table.from_arrays(arrays, schema=_REJECTED.remove(0)))

    def _reject(self, rejected: pa.Table) -> None:
        self._with_rejected.update(rejected["item"].unique().to_pylist())
        places = pc.index_in(rejected["item"], value_set=self._keys)
        self._rejected.write_table(rejected.add_column(0, _REJECTED.field(0), places))


def _is_in(items: pa.ChunkedArray, keys: Collection[str]) -> np.ndarray[Any, Any]:
    return np.asarray(pc.is_in(items, value_set=pa.array(list(keys), pa.string())).to_numpy())


def _counts(items: pa.ChunkedArray) -> dict[str, int]:
    return {each["values"]: each["counts"] for each in pc.value_counts(items).to_pylist()}
