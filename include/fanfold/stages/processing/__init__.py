"""Process: transform and validate the records of a batch. Deterministic, no network.

A record that violates the contract becomes an ``invalid`` outcome; all other rows are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.messages import ENGINE
from fanfold.model import Outcome, Status
from fanfold.sources.rows import Problem
from fanfold.stages.processing.contract import SCHEMA, derive, problems
from fanfold.workspace.batch import ITEM
from fanfold.workspace.failure_groups import FailureGroups
from fanfold.workspace.files import whole_file, write_jsonl
from fanfold.workspace.progress import REASONS, Cleaned, write_cleaned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.sources import Source
    from fanfold.workspace.batch import Batch

SLICE = 2500
"""Records per slice: about 50 MB at 2 KB of JSON each. pandera takes about 30 ms per slice."""

CLEAN_SCHEMA = pa.schema([pa.field(ITEM, pa.string(), nullable=False), *SCHEMA])


@dataclass(frozen=True, slots=True)
class Processed:
    """Number of rows and of invalid items of a batch."""

    rows: int
    invalid: int


def process_batch(batch: Batch, source: Source, *, as_of: pd.Timestamp) -> Processed:
    """Write the valid rows of a batch, in item order, and the outcomes of its invalid items."""
    order = {key: place for place, key in enumerate(batch.keys())}
    tables = [CLEAN_SCHEMA.empty_table()]
    invalid: list[Outcome] = []
    for fetched in batch.fetched(SLICE):
        planned = [(outcome, record) for outcome, record in fetched if outcome.key in order]
        keys = [outcome.key for outcome, _ in planned]
        rows, violations = clean_rows(source, keys, [record for _, record in planned], as_of)
        tables.append(rows)
        invalid += [_invalid(planned[row][0], problem) for row, problem in violations.items()]
        del fetched, planned  # free the slice before the next one is read
    invalid.sort(key=lambda outcome: order[outcome.key])
    rows = _in_order(pa.concat_tables(tables), order)
    # Write the rows last: their presence marks the invalid file beside them as complete.
    write_jsonl(batch.invalid_file, (outcome.as_json() for outcome in invalid))
    with whole_file(batch.rows_file) as temporary:
        pq.write_table(rows, temporary, compression="zstd")
    failures = FailureGroups()
    for outcome in invalid:
        failures.add(outcome)
    groups = tuple(group.as_json() for group in failures.groups(REASONS))
    write_cleaned(batch, Cleaned(batch.number, rows.num_rows, len(invalid), groups))
    return Processed(rows.num_rows, len(invalid))


def _invalid(fetched: Outcome, problem: Problem) -> Outcome:
    reason = ENGINE.message(
        "item.invalid", column=problem.column, value=repr(problem.value), rule=problem.rule
    )
    return replace(
        fetched,
        status=Status.INVALID,
        reason=reason.text,
        reason_id=reason.id,
        column=problem.column,
        value=problem.value,
        rule=problem.rule,
    )


def _in_order(rows: pa.Table, order: Mapping[str, int]) -> pa.Table:
    """Sort rows by item; the result does not depend on the order of arrival."""
    places = np.fromiter((order[key] for key in rows[ITEM].to_pylist()), np.int64, rows.num_rows)
    # Re-encode dictionaries, whose codes are numbered in order of arrival.
    plain = pa.schema(
        field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
        for field in rows.schema
    )
    order_of_items = np.argsort(places, kind="stable")
    return rows.cast(plain).take(order_of_items).combine_chunks().cast(rows.schema)


def clean_rows(
    source: Source, keys: list[str], records: list[dict[str, object]], as_of: pd.Timestamp
) -> tuple[pa.Table, dict[int, Problem]]:
    """Apply transform and contract to records; ``keys`` are their items.

    Returns:
        The valid rows with their items, in order, and the first problem of each other record by
        position.
    """
    transformed = source.transform(records)
    frame = derive(transformed.frame, as_of)
    violations: dict[int, Problem] = {}
    for problem in (
        *transformed.problems,
        *_wrong_identity(source, keys, frame),
        *problems(frame),
    ):
        violations.setdefault(problem.row, problem)
    items = pd.Series(keys, index=frame.index, dtype="str")
    valid = frame.assign(**{ITEM: items}).drop(index=list(violations))
    rows = pa.Table.from_pandas(valid, CLEAN_SCHEMA, preserve_index=False)
    return rows, dict(sorted(violations.items()))


def _wrong_identity(source: Source, keys: list[str], frame: pd.DataFrame) -> list[Problem]:
    """Return a problem for each record that belongs to another item."""
    column = source.identity_column
    if column is None:
        return []
    return [
        Problem(row, column, str(value), "is the requested item")
        for row, (key, value) in enumerate(zip(keys, frame[column], strict=True))
        if value != key
    ]
