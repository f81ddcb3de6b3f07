"""Consolidate: merge the parts of all batches into one dataset and reconcile it with the plan.

Batches are read in order, one at a time; memory is bounded by one batch and one row group. Every
planned item is counted once and, unless it is ``ok``, listed in ``failed.jsonl``.
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
from fanfold.workspace.batch import ITEM, decide
from fanfold.workspace.failure_groups import FailureGroups, read_groups
from fanfold.workspace.files import jsonl_writer, read_json, whole_file, write_json
from fanfold.workspace.paths import CSV, FAILED, PARQUET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.workspace.batch import Batch
    from fanfold.workspace.paths import Workspace

ROW_GROUP = 20_000
"""Minimum rows per row group, except the last; about 6 MB in memory."""
CSV_LEVEL = 5
"""gzip level: files are 3 % larger than at level 9 and take a third of the time."""
_FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"
"""Cells that a spreadsheet evaluates as a formula. Source: OWASP, "CSV Injection"."""
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _BatchResult:
    """The reconciled rows (in item order) and outcomes of a batch."""

    rows: pa.Table
    failures: list[Outcome]
    counts: Counts
    requests: int


def consolidate(workspace: Workspace, run: RunIdentity, schema: pa.Schema) -> Manifest:
    """Write the dataset, ``failed.jsonl`` and the manifest of a run; return the manifest.

    Raises:
        Inconsistent: The parts do not match the plan, or cannot be read.
    """
    plan = Plan.from_json(read_json(workspace.plan))
    counts = Counts()
    requests = 0
    failures = FailureGroups()
    paths = [workspace.dataset / name for name in (PARQUET, CSV, FAILED)]
    with (
        jsonl_writer(paths[2]) as add_failure,
        _csv_writer(paths[1], schema) as csv,
        _parquet_writer(paths[0], schema) as parquet,
    ):
        pending: list[pa.Table] = []
        for batch in range(plan.batches):
            result = _reconcile(workspace.batch(batch), schema)
            for failure in result.failures:
                add_failure(failure.as_json())
                failures.add(failure)
            counts += result.counts
            requests += result.requests
            pending.append(result.rows)
            # Small batches share a row group: one each would make a large and slow file.
            if batch == plan.batches - 1 or sum(map(len, pending)) >= ROW_GROUP:
                rows = pa.concat_tables(pending).combine_chunks()
                parquet.write_table(rows)
                csv.write_table(_for_csv(rows))
                pending.clear()
    if counts.planned != plan.items:
        raise Inconsistent(
            f"The plan has {plan.items} items, but its batches have {counts.planned}. Clear `plan` "
            "with its downstream tasks."
        )
    write_json(workspace.failures, [group.as_json() for group in failures.groups()])
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
    """Return the current time, but not earlier than the run's start or its previous end.

    The clock may be set back, and the warehouse orders the results of a run by their end.
    """
    times = [plan.started_at, utc_text(datetime.now(UTC))]
    if workspace.manifest.exists():
        times.append(Manifest.from_json(read_json(workspace.manifest)).finished_at)
    return max(times)  # ISO 8601 in UTC sorts by time


def check_tolerance(workspace: Workspace, manifest: Manifest, tolerated_percentage: float) -> None:
    """Check that the share of ``failed`` and ``invalid`` items is tolerated.

    Raises:
        ToleranceExceeded: It is not; the message lists the most frequent reasons.
    """
    counts = manifest.counts
    failures = counts.failed + counts.invalid
    if not failures or failures * 100 <= tolerated_percentage * counts.planned:
        return
    found = read_groups(workspace.failures)
    groups = [group for group in found if group.status is not Status.MISSING]
    groups.sort(key=lambda group: -group.count)
    reasons = "; ".join(f"{group.count} × {group.title}" for group in groups[:_REASONS_SHOWN])
    raise ToleranceExceeded(
        f"{failures} of {counts.planned} items failed "
        f"({failures * 100 / counts.planned:.3g} %), but tolerated_failure_percentage is "
        f"{tolerated_percentage:g}: {reasons}. Nothing was published. Fetched data is kept: clear "
        "`batch.fetch` with its downstream tasks to fetch only the failed items."
    )


def _reconcile(batch: Batch, schema: pa.Schema) -> _BatchResult:
    """Reconcile a batch's items with their outcomes and rows."""
    keys = batch.keys()
    fetched = batch.outcomes()
    invalid = batch.invalid()
    rows = _read_rows(batch, schema)
    position = {key: row for row, key in enumerate(rows[ITEM].to_pylist())}
    outcomes = [
        decide(key, fetched.get(key), invalid.get(key), clean=key in position) for key in keys
    ]
    by_status = Counter(str(outcome.status) for outcome in outcomes)
    order = [position[outcome.key] for outcome in outcomes if outcome.status is Status.OK]
    return _BatchResult(
        rows=rows.drop_columns(ITEM).take(pa.array(order, pa.int64())).cast(schema),
        failures=[outcome for outcome in outcomes if outcome.status is not Status.OK],
        counts=Counts(planned=len(keys), **by_status),
        requests=sum(outcome.requests for outcome in fetched.values()),
    )


def _read_rows(batch: Batch, schema: pa.Schema) -> pa.Table:
    path = batch.rows_file
    if not path.exists():
        return pa.schema([pa.field(ITEM, pa.string()), *schema]).empty_table()
    try:
        with pq.ParquetFile(path) as file:  # read_table would import pyarrow.dataset
            return file.read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise Inconsistent(
            f"Cannot read {path} ({error}). Clear `batch.process` of batch {batch.number}."
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
        # No name and no time in the header: the same rows give the same bytes.
        gzip.GzipFile("", "wb", CSV_LEVEL, file, mtime=0) as stream,
        pa_csv.CSVWriter(stream, _for_csv(schema.empty_table()).schema) as writer,
    ):
        yield writer


def _for_csv(rows: pa.Table) -> pa.Table:
    """Return the rows with dictionaries as text and formulas escaped."""
    columns = []
    for column in rows.columns:
        text = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        if pa.types.is_string(text.type):
            formula = pc.match_substring_regex(text, _FORMULA)
            text = pc.if_else(formula, pc.binary_join_element_wise("'", text, ""), text)
        columns.append(text)
    return pa.table(columns, names=rows.column_names)
