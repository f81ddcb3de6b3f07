"""Process: from a batch's records to its clean rows. Pure, repeatable, without network.

A record that breaks the contract is quarantined with column, value and rule; no other row pays for
it.
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
"""Records that are processed at once: some 50 MB where each has 2 KB of JSON. Smaller slices pay
more often what pandera takes for a table of any size, some 30 ms."""

CLEAN_SCHEMA = pa.schema([pa.field(ITEM, pa.string(), nullable=False), *SCHEMA])


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of the records of a batch."""

    rows: int
    invalid: int


def process_batch(batch: Batch, source: Source, *, as_of: pd.Timestamp) -> Processed:
    """Write the clean rows of a batch, in item order, and the outcomes of those that are none.

    Args:
        batch: The batch.
        source: Whose records these are.
        as_of: The run's logical date (UTC).
    """
    order = {key: place for place, key in enumerate(batch.keys())}
    tables = [CLEAN_SCHEMA.empty_table()]
    invalid: list[Outcome] = []
    for found in batch.fetched(SLICE):
        planned = [(outcome, record) for outcome, record in found if outcome.key in order]
        keys = [outcome.key for outcome, _ in planned]
        rows, broken = clean_rows(source, keys, [record for _, record in planned], as_of)
        tables.append(rows)
        invalid += [_invalid(planned[row][0], problem) for row, problem in broken.items()]
        del found, planned  # or they would stay while the next slice is read
    invalid.sort(key=lambda outcome: order[outcome.key])
    rows = _in_order(pa.concat_tables(tables), order)
    # The rows come last: where they are, the quarantine beside them is theirs.
    write_jsonl(batch.invalid_file, (outcome.as_json() for outcome in invalid))
    with whole_file(batch.rows_file) as temporary:
        pq.write_table(rows, temporary, compression="zstd")
    reasons = FailureGroups()
    for outcome in invalid:
        reasons.add(outcome)
    groups = tuple(group.as_json() for group in reasons.groups(REASONS))
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
    """Return rows in the order of their items; equal rows give equal bytes, however they came."""
    places = np.fromiter((order[key] for key in rows[ITEM].to_pylist()), np.int64, rows.num_rows)
    # Categories are numbered as they come: as texts, and from texts, they have one order.
    plain = pa.schema(
        field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
        for field in rows.schema
    )
    return rows.cast(plain).take(np.argsort(places)).combine_chunks().cast(rows.schema)


def clean_rows(
    source: Source, keys: list[str], records: list[dict[str, object]], as_of: pd.Timestamp
) -> tuple[pa.Table, dict[int, Problem]]:
    """Apply transform and contract to the records of some items.

    Args:
        source: Whose transform it is.
        keys: The items.
        records: Their records, in the same order.
        as_of: The run's logical date (UTC).

    Returns:
        The clean rows with their items, in order, and the first problem of each record that is no
        clean row, by its position.
    """
    made = source.transform(records)
    frame = derive(made.frame, as_of)
    found = [*made.problems, *_strangers(source, keys, frame), *problems(frame)]
    broken: dict[int, Problem] = {}
    for problem in found:
        broken.setdefault(problem.row, problem)
    items = pd.Series(keys, index=frame.index, dtype="str")
    good = frame.assign(**{ITEM: items}).drop(index=list(broken))
    return pa.Table.from_pandas(good, CLEAN_SCHEMA, preserve_index=False), dict(
        sorted(broken.items())
    )


def _strangers(source: Source, keys: list[str], frame: pd.DataFrame) -> list[Problem]:
    """Return a problem for each record that is another item's."""
    column = source.identity_column
    if column is None:
        return []
    return [
        Problem(row, column, str(value), "is the requested item")
        for row, (key, value) in enumerate(zip(keys, frame[column], strict=True))
        if value != key
    ]
