"""Process: transform the records of a batch, check the rows, and close the batch.

Deterministic and without network: the same records give the same bytes, in whatever parts and order
they were fetched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fanfold.messages import ENGINE
from fanfold.model import Counts, Outcome, Rejected, Status
from fanfold.stages.processing.contract import (
    AS_OF_FIELD,
    Contract,
    arrow_schema,
    check_rows,
    contract_of,
)
from fanfold.stages.processing.transform import asks_for_items, transform_records
from fanfold.workspace.batch import ITEM, decide
from fanfold.workspace.failure_groups import FailureGroups
from fanfold.workspace.files import jsonl_writer, whole_file, write_jsonl
from fanfold.workspace.progress import REASONS, Closed, write_closed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from fanfold.loader import Loaded
    from fanfold.model import Item
    from fanfold.pipeline import Pipeline
    from fanfold.workspace.batch import Batch

__all__ = ["arrow_schema", "clean_records", "process_batch"]

SLICE = 2500
"""Records per slice: about 50 MB at 2 KB of JSON each. pandera takes about 30 ms per slice."""
ANOTHER_ROW = "another row of the item was rejected"
_LINES = 10_000
_ROW = " row"
"""Column with the position of a row in its item, while rows are checked."""
_REJECTED = pa.schema(
    {
        "item": pa.string(),
        "row": pa.int64(),
        "column": pa.string(),
        "value": pa.string(),
        "rule": pa.string(),
    }
)
_Fetched = Sequence[tuple[str, Sequence[Any]]]


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
    keys = batch.keys()
    planned = set(keys)
    items = {item.key: item for item in batch.items()} if asks_for_items(pipeline) else {}
    slices = (
        [(outcome.key, records) for outcome, records in found if outcome.key in planned]
        for found in batch.fetched(SLICE)
    )
    rows, rejected = _clean(pipeline, keys, slices, items, as_of)
    invalid, rejected_groups = _write_rejected(
        batch, rejected, set(pc.unique(rows[ITEM]).to_pylist())
    )
    fetched = batch.outcomes()
    final = [
        decide(key, fetched.get(key), _invalid(fetched.get(key), invalid.get(key))) for key in keys
    ]
    failed = [outcome for outcome in final if outcome.status is not Status.OK]
    groups = FailureGroups()
    for outcome in failed:
        groups.add(outcome)
    write_jsonl(batch.failed_file, (outcome.as_json() for outcome in failed))
    with whole_file(batch.rows_file) as temporary:
        pq.write_table(rows, temporary, compression="zstd")
    counts = Counter(str(outcome.status) for outcome in final)
    closed = Closed(
        batch.number,
        Counts(planned=len(keys), **counts),
        requests=sum(outcome.requests for outcome in final),
        rows=rows.num_rows,
        rejected=rejected.num_rows,
        reasons=_as_json(groups),
        rejected_reasons=_as_json(rejected_groups),
        parts=parts,
        code=loaded.code,
    )
    write_closed(batch, closed)
    return closed


def clean_records(
    pipeline: Pipeline, fetched: _Fetched, items: Sequence[Item], as_of: datetime
) -> tuple[pa.Table, list[Rejected]]:
    """Return the rows of some items, and the rejected ones.

    Args:
        pipeline: The pipeline.
        fetched: Key and records of each item.
        items: Items with their attributes; needed if the transform asks for them.
        as_of: Logical date of the run, UTC.

    Returns:
        Rows in the order of ``fetched``: column ``item``, the contract's columns, ``as_of``.

    Raises:
        BadPipeline: The contract or the transform is invalid.
    """
    keys = [key for key, _ in fetched]
    by_key = {item.key: item for item in items}
    rows, rejected = _clean(pipeline, keys, [fetched], by_key, as_of)
    return rows, [Rejected(**row) for row in rejected.to_pylist()]


def _clean(
    pipeline: Pipeline,
    keys: Sequence[str],
    slices: Iterable[_Fetched],
    items: Mapping[str, Item],
    as_of: datetime,
) -> tuple[pa.Table, pa.Table]:
    """Return the rows and the rejected rows of all slices, in the order of ``keys``."""
    contract = contract_of(pipeline)
    schema = pa.schema(
        [pa.field(ITEM, pa.string(), nullable=False), *contract.schema, pa.field(_ROW, pa.int64())]
    )
    tables, rejected = [schema.empty_table()], [_REJECTED.empty_table()]
    for fetched in slices:
        frame, raised = transform_records(pipeline, fetched, items, as_of)
        if pipeline.item_column not in frame:
            frame = frame.assign(**{pipeline.item_column: frame.index})
        table, broken = _slice_rows(contract, frame, [key for key, _ in fetched], schema)
        tables.append(table)
        rejected.append(
            pa.Table.from_pylist([asdict(row) for row in (*raised, *broken)], _REJECTED)
        )
        del fetched, frame  # free the slice before the next one is read
    rows = pa.concat_tables(tables)
    rows = rows.take(np.argsort(_places(rows[ITEM], keys), kind="stable")).combine_chunks()
    for columns in contract.unique:
        again = rows.select(columns).to_pandas().duplicated().to_numpy()
        rows = _move(rows, again, rejected, columns[0] if len(columns) == 1 else "", "unique")
    if pipeline.reject == "item":
        items_with_rejected = pa.concat_tables(rejected)["item"].combine_chunks()
        others = pc.is_in(rows[ITEM], value_set=items_with_rejected).to_numpy()
        rows = _move(rows, others, rejected, "", ANOTHER_ROW)
    found = pa.concat_tables(rejected)
    in_order = np.lexsort((found["row"].to_numpy(), _places(found["item"], keys)))
    when = pa.repeat(pa.scalar(as_of, AS_OF_FIELD.type), rows.num_rows)
    return rows.drop_columns(_ROW).append_column(AS_OF_FIELD, when), found.take(in_order)


def _places(items: pa.ChunkedArray, keys: Sequence[str]) -> np.ndarray[Any, Any]:
    places = pc.index_in(items, value_set=pa.array(keys, pa.string()))
    return np.asarray(places.to_numpy())


def _slice_rows(
    contract: Contract, frame: pd.DataFrame, keys: Sequence[str], schema: pa.Schema
) -> tuple[pa.Table, list[Rejected]]:
    """Return the rows of a slice that obey the contract, and the others."""
    items = pd.Index(keys).get_indexer(frame.index)
    numbers = pd.Series(items).groupby(items).cumcount().to_numpy() + 1
    table, violations = check_rows(contract, frame)
    rejected = [
        Rejected(keys[items[row]], int(numbers[row]), found.column, found.value, found.rule)
        for row, found in sorted(violations.items())
    ]
    good = np.ones(len(frame), bool)
    good[list(violations)] = False
    of_items = pa.array(keys, pa.string()).take(pa.array(items))
    whole = pa.Table.from_arrays([of_items, *table.columns, pa.array(numbers)], schema=schema)
    return whole.filter(pa.array(good)), rejected


def _move(
    rows: pa.Table, mask: np.ndarray[Any, Any], rejected: list[pa.Table], column: str, rule: str
) -> pa.Table:
    """Move the rows of a mask to the rejected ones; return the others."""
    moved = rows.filter(pa.array(mask))
    size = moved.num_rows
    value = moved[column].cast(pa.string()) if column else pa.repeat("", size)
    arrays = [moved[ITEM], moved[_ROW], pa.repeat(column, size), value, pa.repeat(rule, size)]
    rejected.append(pa.Table.from_arrays(arrays, schema=_REJECTED))
    return rows.filter(pa.array(~mask)).combine_chunks()


def _write_rejected(
    batch: Batch, rejected: pa.Table, with_rows: set[str]
) -> tuple[dict[str, Rejected], FailureGroups]:
    """Write the rejected rows; return the first one of each item without rows, and all in groups."""
    firsts: dict[str, Rejected] = {}
    groups = FailureGroups()
    with jsonl_writer(batch.rejected_file) as add:
        for row in _documents(rejected):
            add(row)
            each = Rejected(**row)
            groups.add(
                Outcome(
                    each.item,
                    Status.INVALID,
                    column=each.column,
                    value=each.value,
                    rule=each.rule,
                )
            )
            if each.item not in with_rows and (
                each.item not in firsts or firsts[each.item].rule == ANOTHER_ROW
            ):
                firsts[each.item] = each
    return firsts, groups


def _documents(table: pa.Table) -> Iterator[dict[str, Any]]:
    for some in table.to_batches(max_chunksize=_LINES):
        yield from some.to_pylist()


def _invalid(fetched: Outcome | None, first: Rejected | None) -> Outcome | None:
    """Return the outcome of an item by its first rejected row; None if it has none."""
    if fetched is None or first is None:
        return None
    reason = ENGINE.message(
        "item.invalid" if first.column else "item.broken",
        column=first.column,
        value=repr(first.value),
        rule=first.rule,
    )
    return replace(
        fetched,
        status=Status.INVALID,
        reason=reason.text,
        reason_id=reason.id,
        reason_params=reason.params,
        column=first.column,
        value=first.value,
        rule=first.rule,
    )


def _as_json(groups: FailureGroups) -> tuple[dict[str, Any], ...]:
    return tuple(group.as_json() for group in groups.groups(REASONS))
