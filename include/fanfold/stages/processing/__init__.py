"""Process: transform the records of a batch, check the rows, and close the batch.

Deterministic and without network: the same records give the same bytes, in whatever parts and order
they were fetched.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fanfold.messages import ENGINE, Message
from fanfold.model import Counts, Outcome, Rejected, Status
from fanfold.sources import Files
from fanfold.stages.processing.contract import (
    AS_OF_FIELD,
    arrow_schema,
    check_rows,
    contract_of,
)
from fanfold.stages.processing.files import FileReader, first_records
from fanfold.stages.processing.transform import Records, asks_for_items, transform_records
from fanfold.stages.processing.writing import ANOTHER_ROW, RowWriter, rows_schema
from fanfold.workspace.batch import ITEM, decide
from fanfold.workspace.failure_groups import FailureGroups
from fanfold.workspace.files import TEMPORARY_PREFIX, disk_errors, jsonl_writer
from fanfold.workspace.progress import REASONS, Closed, write_closed
from fanfold.workspace.rows import row_sizes
from fanfold.workspace.stop import read_stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from fanfold.loader import Loaded
    from fanfold.model import Item
    from fanfold.pipeline import Pipeline
    from fanfold.stages.processing.contract import Contract
    from fanfold.workspace.batch import Batch

__all__ = ["arrow_schema", "first_records", "process_batch"]

SLICE = 2500
"""Records per slice: about 50 MB at 2 KB of JSON each. pandera takes about 30 ms per slice."""
PIECE_BYTES = 16 << 20
"""Bytes of the rows that are written at a time."""
DROPPED_COLUMNS = 100
"""Maximum number of dropped columns of a batch that are named."""


def process_batch(batch: Batch, loaded: Loaded, *, as_of: datetime) -> Closed:
    """Write the rows of a batch, its rejected rows, and the final outcomes of its items.

    Rows are in item order; those of an item are in the order of the transform. ``unique`` of the
    contract is checked within the batch, of equal rows the first is kept.

    Args:
        batch: The batch.
        loaded: The pipeline.
        as_of: Logical date of the run, UTC.

    Raises:
        BadPipeline: The contract or the transform is invalid.
        WorkspaceUnavailable: The disk is full, read-only or not responding.
    """
    parts = tuple(batch.part_names())
    pipeline = loaded.pipeline
    contract = contract_of(pipeline)
    keys = batch.keys()
    items = {item.key: item for item in batch.items()} if asks_for_items(pipeline) else {}
    check = _Checker(pipeline, contract, items, as_of)
    reader = None
    rows_folder = batch.rows_file.parent
    with disk_errors(rows_folder):
        rows_folder.mkdir(parents=True, exist_ok=True)
    with (
        disk_errors(rows_folder),
        tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=rows_folder) as folder,
    ):
        whole = pipeline.reject == "item"
        writer = RowWriter(batch, keys, contract, Path(folder), whole_items=whole)
        if isinstance(pipeline.source, Files):
            reader = FileReader(pipeline, pipeline.source, contract)
            for records in reader.slices(batch.fetched_files()):
                writer.add(*check(records))
                del records
        else:
            for rows, broken in _in_order(check, batch, keys, Path(folder) / "slices.parquet"):
                writer.add(rows, broken)
        flaws = reader.flaws if reader else {}
        writer.finish(list(flaws))
        invalid, rejected, rejected_groups = _write_rejected(batch, writer, flaws)
    final, groups = _write_failed(batch, keys, invalid)
    counts = Counter(str(outcome.status) for outcome in final)
    closed = Closed(
        batch.number,
        Counts(planned=len(keys), **counts),
        requests=sum(outcome.requests for outcome in final),
        rows=writer.rows.total(),
        rejected=rejected,
        reasons=_as_json(groups),
        rejected_reasons=_as_json(rejected_groups),
        parts=parts,
        code=loaded.code,
        dropped_columns=dict(reader.dropped.most_common(DROPPED_COLUMNS)) if reader else {},
        gb_seconds=sum(outcome.gb_seconds or 0.0 for outcome in final),
    )
    write_closed(batch, closed)
    return closed


class _Checker:
    """Makes the rows of records and checks them. Rows of an item are numbered over all its slices."""

    def __init__(
        self, pipeline: Pipeline, contract: Contract, items: Mapping[str, Item], as_of: datetime
    ) -> None:
        self._pipeline = pipeline
        self._contract = contract
        self._items = items
        self._as_of = as_of
        self._rows: Counter[str] = Counter()
        self.schema = rows_schema(contract)

    def __call__(self, records: Records) -> tuple[pa.Table, list[Rejected]]:
        """Return the rows that obey the contract, and the rejected ones."""
        frame, raised = transform_records(self._pipeline, records, self._items, self._as_of)
        keys = pd.Index(records.keys).unique()
        places = keys.get_indexer(frame.index)
        if (np.diff(places) < 0).any():  # a transform may return rows in another order of items
            order = np.argsort(places, kind="stable")
            frame, places = frame.iloc[order], places[order]
        numbers = pd.Series(places).groupby(places).cumcount().to_numpy() + 1
        numbers += np.array([self._rows[key] for key in keys], np.int64)[places]
        self._rows.update(
            dict(zip(keys, np.bincount(places, minlength=len(keys)).tolist(), strict=True))
        )
        for column, values in (
            (self._pipeline.item_column, frame.index),
            (self._pipeline.row_column, numbers),
        ):
            if column in self._contract.schema.names and column not in frame:
                frame = frame.assign(**{column: values})
        table, violations = check_rows(self._contract, frame)
        rejected = [
            Rejected(keys[places[row]], int(numbers[row]), found.column, found.value, found.rule)
            for row, found in violations.items()
        ]
        good = np.ones(len(frame), bool)
        good[list(violations)] = False
        items = pa.array(keys.tolist(), pa.string()).take(pa.array(places))
        as_of = pa.repeat(pa.scalar(self._as_of, AS_OF_FIELD.type), len(frame))
        rows = [items, *table.columns, as_of, pa.array(numbers)]
        table = pa.Table.from_arrays(rows, schema=self.schema).filter(pa.array(good))
        return table, [*records.rejected, *raised, *rejected]


def _in_order(
    check: _Checker, batch: Batch, keys: Sequence[str], spilled: Path
) -> Iterator[tuple[pa.Table, list[Rejected]]]:
    """Yield the rows of all records of a batch in the order of its items, and the rejected ones.

    The rows of the slices are written to ``spilled`` and read again, mostly once each, as items are
    fetched about in their order.
    """
    planned, positions = set(keys), pa.array(keys, pa.string())
    places, sizes, slices = [], [], []
    with pq.ParquetWriter(spilled, check.schema, compression="lz4") as writer:
        for found in batch.fetched(SLICE):
            rows, broken = check(
                Records.of_items([(each.key, some) for each, some in found if each.key in planned])
            )
            del found  # free the slice before the next one is read
            yield check.schema.empty_table(), broken
            if len(rows):
                writer.write_table(rows, len(rows))  # one row group
                places.append(pc.index_in(rows[ITEM], value_set=positions).to_numpy())
                sizes.append(row_sizes(rows))
                slices.append(len(rows))
    if not slices:
        return
    order = np.argsort(np.concatenate(places), kind="stable")
    ends = np.cumsum(np.concatenate(sizes)[order])
    starts = np.concatenate([[0], np.cumsum(slices)])
    with pq.ParquetFile(spilled, pre_buffer=False) as file:
        for rows_of_piece in np.split(order, np.flatnonzero(np.diff(ends // PIECE_BYTES)) + 1):
            which = np.searchsorted(starts, rows_of_piece, side="right") - 1
            pieces, found_places = [], []
            for number in np.unique(which):
                mine = np.flatnonzero(which == number)
                part = file.read_row_group(int(number), use_threads=False)
                pieces.append(part.take(pa.array(rows_of_piece[mine] - starts[number])))
                found_places.append(mine)
            back = np.argsort(np.concatenate(found_places))
            yield pa.concat_tables(pieces).take(pa.array(back)).combine_chunks(), []


def _write_rejected(
    batch: Batch, writer: RowWriter, flaws: Mapping[str, Message]
) -> tuple[dict[str, Rejected | Message], int, FailureGroups]:
    """Write the rejected rows; return why items are invalid, and number and groups of the rows."""
    invalid: dict[str, Rejected | Message] = {}
    groups = FailureGroups()
    rejected = 0
    with jsonl_writer(batch.rejected_file) as add:
        for row in writer.rejected(list(flaws)):
            add(row)
            rejected += 1
            each = Rejected(**row)
            groups.add(Outcome(each.item, Status.INVALID, **_broken(each)))
            first = invalid.get(each.item)
            if not writer.rows[each.item] and (
                not isinstance(first, Rejected) or first.rule == ANOTHER_ROW
            ):
                invalid[each.item] = each
    return {**invalid, **flaws}, rejected, groups


def _write_failed(
    batch: Batch, keys: Sequence[str], invalid: Mapping[str, Rejected | Message]
) -> tuple[list[Outcome], FailureGroups]:
    """Write the outcomes that are not ``ok``; return those of all items, and groups of these."""
    fetched, stopped = batch.outcomes(), read_stop(batch.stop_file)
    final = [
        decide(key, fetched.get(key), _invalid(fetched.get(key), invalid.get(key)), stopped)
        for key in keys
    ]
    groups = FailureGroups()
    with jsonl_writer(batch.failed_file) as add:
        for outcome in final:
            if outcome.status is not Status.OK:
                groups.add(outcome)
                add(outcome.as_json())
    return final, groups


def _invalid(fetched: Outcome | None, why: Rejected | Message | None) -> Outcome | None:
    """Return the outcome of an item by its flaw or first rejected row; None if it has none."""
    if fetched is None or why is None:
        return None
    broken: dict[str, Any] = {}
    if isinstance(why, Rejected):
        broken = _broken(why)
        message = "item.invalid" if why.column else "item.broken"
        why = ENGINE.message(message, **{**broken, "value": repr(why.value)})
    kept = ("attempts", "at", "shared", "gb_seconds")
    asked = {name: getattr(fetched, name) for name in kept}
    return Outcome.of(fetched.key, Status.INVALID, why, **asked, **broken)


def _broken(row: Rejected) -> dict[str, Any]:
    return {"column": row.column, "value": row.value, "rule": row.rule}


def _as_json(groups: FailureGroups) -> tuple[dict[str, Any], ...]:
    return tuple(group.as_json() for group in groups.groups(REASONS))
