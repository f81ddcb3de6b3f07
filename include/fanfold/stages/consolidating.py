"""Consolidate: fold the parts of all batches into one dataset, and hold it against the plan.

Batches are read one after the other, from the workspace, in order; memory is bounded by one batch and
one row group.
Every planned item ends in exactly one count and, unless it is ``ok``, in ``failed.jsonl``.
"""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent, ToleranceExceeded
from fanfold.model import (
    Counts,
    FileEntry,
    Manifest,
    Outcome,
    Plan,
    RunIdentity,
    RunStatus,
    Status,
    utc_text,
)
from fanfold.workspace.failure_groups import FailureGroups, read_groups
from fanfold.workspace.files import jsonl_writer, read_json, read_jsonl, whole_file, write_json
from fanfold.workspace.parts import ITEM, decide, invalid_of, outcomes_of
from fanfold.workspace.paths import CSV, FAILED, PARQUET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.workspace.paths import Workspace

ROW_GROUP = 20_000
"""Rows of a row group, at least (but the last); some 6 MB in memory."""
CSV_LEVEL = 5
"""Level of the CSV's compression: 3 % larger than at level 9, in a third of its time."""
_FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"
"""First characters that make a spreadsheet run a cell. Source: OWASP, "CSV Injection"."""
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Batch:
    """One batch, folded: its rows in item order and what became of its items."""

    rows: pa.Table
    failures: list[Outcome]
    counts: Counts
    requests: int


def consolidate(workspace: Workspace, run: RunIdentity, schema: pa.Schema) -> Manifest:
    """Write the dataset, ``failed.jsonl`` and the manifest of a run.

    Args:
        workspace: The run's workspace, with a plan.
        run: Whose manifest it is.
        schema: The columns of the dataset.

    Returns:
        The manifest, as it lies in the workspace.

    Raises:
        Inconsistent: Parts contradict the plan.
    """
    plan = Plan.from_json(read_json(workspace.plan))
    counts = Counts()
    requests = 0
    reasons = FailureGroups()
    paths = [workspace.dataset / name for name in (PARQUET, CSV, FAILED)]
    with (
        jsonl_writer(paths[2]) as add_failure,
        _csv_writer(paths[1], schema) as csv,
        _parquet_writer(paths[0], schema) as parquet,
    ):
        waiting: list[pa.Table] = []
        for batch in range(plan.batches):
            folded = _fold(workspace, batch, schema)
            for failure in folded.failures:
                add_failure(failure.as_json())
                reasons.add(failure)
            counts += folded.counts
            requests += folded.requests
            waiting.append(folded.rows)
            # Batches may hold one item: a row group for each would make a large and slow file.
            if batch == plan.batches - 1 or sum(map(len, waiting)) >= ROW_GROUP:
                rows = pa.concat_tables(waiting).combine_chunks()
                parquet.write_table(rows)
                csv.write_table(_for_csv(rows))
                waiting.clear()
    if counts.planned != plan.items:
        raise Inconsistent(
            f"The plan has {plan.items} items, its batches have {counts.planned}: "
            "clear `plan` and what follows it."
        )
    write_json(workspace.failures, [group.as_json() for group in reasons.groups()])
    not_ok = counts.planned - counts.ok
    manifest = Manifest(
        dag_id=run.dag_id,
        run_id=run.run_id,
        logical_date=utc_text(run.logical_date),
        status=_status(counts),
        counts=counts,
        files=tuple(
            _entry(path, form, rows)
            for path, form, rows in zip(
                paths, ("parquet", "csv.gz", "jsonl"), (counts.ok, counts.ok, not_ok), strict=True
            )
        ),
        requests=requests,
        started_at=plan.started_at,
        finished_at=_finished_at(workspace, plan),
    )
    write_json(workspace.manifest, manifest.as_json())
    return manifest


def _finished_at(workspace: Workspace, plan: Plan) -> str:
    """Return the time, but none before the run's start or its earlier end.

    Clocks are set back, and the warehouse takes the later end of a run for the newer outcome.
    """
    known = [plan.started_at, utc_text(datetime.now(UTC))]
    if workspace.manifest.exists():
        known.append(Manifest.from_json(read_json(workspace.manifest)).finished_at)
    return max(known)  # all in one form, which sorts by time


def gate(workspace: Workspace, manifest: Manifest, tolerated_percentage: float) -> None:
    """Let a run pass whose failures are tolerated.

    ``failed`` and ``invalid`` items count as failures; ``missing`` is an answer.

    Raises:
        ToleranceExceeded: There are more; the message names the most frequent reasons and the way
            on.
    """
    counts = manifest.counts
    failures = counts.failed + counts.invalid
    if not failures or failures * 100 <= tolerated_percentage * counts.planned:
        return
    found = read_groups(workspace.failures)
    groups = [group for group in found if group.status is not Status.MISSING]
    groups.sort(key=lambda group: -group.count)
    most = "; ".join(f"{group.count} × {group.title}" for group in groups[:_REASONS_SHOWN])
    raise ToleranceExceeded(
        f"{failures} of {counts.planned} items failed "
        f"({failures * 100 / counts.planned:.3g} %), and tolerated_failure_percentage is "
        f"{tolerated_percentage:g}: {most}. Nothing was published. What came is kept: clear "
        f"`batch.fetch` with its downstream tasks, and only the items that failed are fetched."
    )


def _fold(workspace: Workspace, batch: int, schema: pa.Schema) -> _Batch:
    """Hold the items of a batch against outcomes, quarantine and clean rows."""
    keys = list(read_jsonl(workspace.items(batch)))
    outcomes = outcomes_of(workspace, batch)
    invalid = invalid_of(workspace, batch)
    clean = _clean_part(workspace, batch, schema)
    position = {key: row for row, key in enumerate(clean[ITEM].to_pylist())}
    decided = [
        decide(key, outcomes.get(key), invalid.get(key), clean=key in position) for key in keys
    ]
    tally = Counter(outcome.status for outcome in decided)
    order = pa.array(
        [position[outcome.key] for outcome in decided if outcome.status is Status.OK], pa.int64()
    )
    return _Batch(
        rows=clean.drop_columns(ITEM).take(order).cast(schema),
        failures=[outcome for outcome in decided if outcome.status is not Status.OK],
        counts=Counts(
            planned=len(keys),
            ok=tally[Status.OK],
            missing=tally[Status.MISSING],
            invalid=tally[Status.INVALID],
            failed=tally[Status.FAILED],
        ),
        requests=sum(outcome.requests for outcome in outcomes.values()),
    )


def _clean_part(workspace: Workspace, batch: int, schema: pa.Schema) -> pa.Table:
    path = workspace.clean(batch)
    if not path.exists():
        return pa.schema([pa.field(ITEM, pa.string()), *schema]).empty_table()
    try:
        with pq.ParquetFile(path) as file:  # read_table imports all of pyarrow.dataset first
            return file.read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise Inconsistent(
            f"{path} cannot be read ({error}): clear `batch.process` of batch {batch}."
        ) from error


def _status(counts: Counts) -> RunStatus:
    if counts.planned == 0:
        return RunStatus.EMPTY
    return RunStatus.PARTIAL if counts.failed or counts.invalid else RunStatus.COMPLETE


def _entry(path: Path, form: str, rows: int) -> FileEntry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(path.name, form, rows, path.stat().st_size, digest)


@contextmanager
def _parquet_writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    with (
        whole_file(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        yield writer


@contextmanager
def _csv_writer(path: Path, schema: pa.Schema) -> Iterator[pa_csv.CSVWriter]:
    with (
        whole_file(path) as temporary,
        temporary.open("wb") as file,
        # Neither name nor time: the same rows give the same bytes.
        gzip.GzipFile("", "wb", CSV_LEVEL, file, mtime=0) as stream,
        pa_csv.CSVWriter(stream, _for_csv(schema.empty_table()).schema) as writer,
    ):
        yield writer


def _for_csv(rows: pa.Table) -> pa.Table:
    """Return the rows as CSV takes them: categories as text, no cell that is a formula."""
    columns = []
    for column in rows.columns:
        text = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        if pa.types.is_string(text.type):
            formula = pc.match_substring_regex(text, _FORMULA)
            text = pc.if_else(formula, pc.binary_join_element_wise("'", text, ""), text)
        columns.append(text)
    return pa.table(columns, names=rows.column_names)
