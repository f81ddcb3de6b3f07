"""Consolidate: concatenate the batches' rows into the dataset, sum their counts, compute the folds.

``process`` closed the batches: outcomes and rows are decided and in order. Memory is bounded by one
row group, and for the folds by the limit of DuckDB.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent
from fanfold.model import (
    Counts,
    FileEntry,
    Manifest,
    Plan,
    RunIdentity,
    RunStatus,
    Status,
    utc_text,
)
from fanfold.pipeline import AS_OF
from fanfold.sources.version import rows_version
from fanfold.stages.consolidating.folds import write_folds
from fanfold.stages.consolidating.merging import (
    Merge,
    RunRows,
    ledger_path,
    state_path,
    usable_base,
)
from fanfold.stages.consolidating.same_keys import find_same, repeated_keys
from fanfold.stages.consolidating.tables import ROW_GROUP, write_table
from fanfold.workspace.base import LEDGER, STATE, read_base_ref
from fanfold.workspace.batch import ITEM
from fanfold.workspace.failure_groups import merge_groups, write_groups
from fanfold.workspace.files import read_json, whole_file, write_json
from fanfold.workspace.paths import FAILED, MISSING, REJECTED
from fanfold.workspace.progress import Closed, places_of, read_closed
from fanfold.workspace.rows import batches_of
from fanfold.workspace.same import SAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from fanfold.loader import Loaded
    from fanfold.pipeline import Pipeline
    from fanfold.workspace.base import Base
    from fanfold.workspace.batch import Batch
    from fanfold.workspace.paths import Workspace

_BATCHES_SHOWN = 20
_DROPPED_COLUMNS = 100


def consolidate(  # noqa: PLR0913 - everything that a dataset depends on
    workspace: Workspace,
    run: RunIdentity,
    loaded: Loaded,
    close: Callable[[Batch], Closed],
    *,
    schema: pa.Schema,
    version: str,
    base: Base | None = None,
) -> Manifest:
    """Write dataset, folds, the lists of items and rows that are not in it, and the manifest of a run.

    In mode ``merge`` also state and ledger (:mod:`fanfold.workspace.base`), unless the run is empty.

    Args:
        workspace: That of the run.
        run: Identity of the run.
        loaded: Its pipeline.
        close: Processes a batch that is not closed, or was closed by other code.
        schema: Schema of the dataset; the last column is ``as_of``.
        version: Version of the source that the records must come from.
        base: In mode ``merge``, the latest published dataset; None if there is none.

    Returns:
        The manifest.

    Raises:
        BadPipeline: A fold fails.
        Inconsistent: Batches and plan do not match, or batches have records of another version.
        WorkspaceUnavailable: The disk is full, read-only or not responding.
    """
    pipeline = loaded.pipeline
    plan = Plan.from_json(read_json(workspace.plan))
    batches = [workspace.batch(number) for number in range(plan.batches)]
    _check_versions(batches, version)
    closed = [read_closed(batch, loaded.code) or close(batch) for batch in batches]
    counts = sum((each.counts for each in closed), Counts())
    if counts.planned != plan.items:
        raise Inconsistent(
            f"The plan has {plan.items} items, but its batches have {counts.planned}. Clear `plan` "
            "with its downstream tasks."
        )
    _concatenate(
        (workspace.dataset / FAILED, workspace.dataset / MISSING),
        [each.failed_file for each in batches],
        [each.counts.planned - each.counts.ok for each in closed],
        lambda line: int(json.loads(line)["status"] == Status.MISSING),
    )
    _concatenate(
        (workspace.dataset / REJECTED,),
        [each.rejected_file for each in batches],
        [each.rejected for each in closed],
    )
    as_of = pa.scalar(run.logical_date, schema.field(AS_OF).type)
    try:
        if pipeline.mode == "merge" and counts.planned:
            rows, facts = _merge(workspace, run, pipeline, batches, closed, schema, base)
        else:
            rows, facts = _concatenate_rows(workspace, pipeline, batches, closed, schema)
        rows |= write_folds(workspace, pipeline, as_of)
    finally:
        shutil.rmtree(workspace.spill, ignore_errors=True)
    write_groups(
        workspace.failures,
        merge_groups(group for each in closed for group in each.reasons),
        merge_groups(group for each in closed for group in each.rejected_reasons),
    )
    rejected = sum(each.rejected for each in closed)
    lines = {FAILED: counts.failed + counts.invalid, MISSING: counts.missing, REJECTED: rejected}
    manifest = Manifest(
        dag_id=run.dag_id,
        run_id=run.run_id,
        logical_date=utc_text(run.logical_date),
        status=_status(counts, rejected),
        counts=counts,
        files=(
            *(entry for table in pipeline.tables for entry in _entries(workspace, table, rows)),
            *(_entry(workspace.dataset / name, "jsonl", number) for name, number in lines.items()),
            *facts.pop("files", ()),
        ),
        requests=sum(each.requests for each in closed),
        started_at=plan.started_at,
        finished_at=_finished_at(workspace, plan),
        rows=rows[pipeline.dataset],
        rejected=rejected,
        code=loaded.code,
        dropped_columns=_dropped_columns(closed),
        mode=pipeline.mode,
        gb_seconds=round(sum(each.gb_seconds for each in closed), 6),
        places=tuple(sorted({place for batch in batches for place in places_of(batch)})),
        **facts,
    )
    write_json(workspace.manifest, manifest.as_json())
    return manifest


def _write_dataset(
    workspace: Workspace, pipeline: Pipeline, schema: pa.Schema, rows: Iterable[pa.RecordBatch]
) -> dict[str, int]:
    name = pipeline.dataset
    return {name: write_table(workspace.table(name), _csv(workspace, name), schema, rows)}


def _concatenate_rows(
    workspace: Workspace,
    pipeline: Pipeline,
    batches: Sequence[Batch],
    closed: Sequence[Closed],
    schema: pa.Schema,
) -> tuple[dict[str, int], dict[str, Any]]:
    """Write all rows once; return as :func:`_merge` does."""
    own = [each.rows for each in closed]

    def found() -> Iterator[pa.RecordBatch]:
        for batch, rows in zip(batches, own, strict=True):
            yield from _rows(batch, rows, schema, schema.names)

    (workspace.dataset / SAME).unlink(missing_ok=True)
    written = _write_dataset(workspace, pipeline, schema, found())
    repeated = repeated_keys(workspace, pipeline)
    if not repeated:
        return written, {}
    same = find_same(workspace, pipeline, schema, [batch.rows_file for batch in batches], own)
    count = len(same.places)
    if not count:
        return written, {"repeated": repeated}
    written = _write_dataset(workspace, pipeline, schema, same.left_out(found()))
    return written, {
        "repeated": repeated - count,
        "same": count,
        "differing": same.differing,
        "files": (_entry(workspace.dataset / SAME, "jsonl", count),),
    }


def _merge(  # noqa: PLR0913, PLR0917 - what a merged dataset depends on
    workspace: Workspace,
    run: RunIdentity,
    pipeline: Pipeline,
    batches: Sequence[Batch],
    closed: Sequence[Closed],
    schema: pa.Schema,
    base: Base | None,
) -> tuple[dict[str, int], dict[str, Any]]:
    """Write the merged dataset; return its number of rows, and the fields of the manifest."""
    version = rows_version(pipeline)
    generation = base.manifest.generation + 1 if base else 1
    own = [each.rows for each in closed]
    ref = read_base_ref(workspace)
    merge = Merge(
        workspace,
        run,
        pipeline,
        RunRows(
            batches, own, lambda batch, rows: _rows(batch, rows, schema, [ITEM, *schema.names])
        ),
        schema=schema,
        base=usable_base(base, ref, version),
        generation=generation,
        version=version,
    )
    with merge.prepared() as merged_rows:
        rows = _write_dataset(workspace, pipeline, schema, merged_rows)
    made = merge.result
    return rows, {
        "run_rows": sum(own),
        "superseded": made.superseded,
        "deleted": made.deleted,
        "pending": made.pending,
        "base": base.sha256 if base else "",
        "generation": generation,
        "rows_version": version,
        "listed": max(ref.listed, base.manifest.listed if base else ""),
        "files": (
            _entry(state_path(workspace.dataset, pipeline.dataset), STATE, made.state_rows),
            _entry(ledger_path(workspace.dataset, pipeline.dataset), LEDGER, made.items),
        ),
    }


def _dropped_columns(closed: Sequence[Closed]) -> dict[str, int]:
    """Return the columns that most files had and the pipeline dropped."""
    found: Counter[str] = Counter()
    for each in closed:
        found.update(each.dropped_columns)
    return dict(found.most_common(_DROPPED_COLUMNS))


def _check_versions(batches: Sequence[Batch], version: str) -> None:
    """Check that all records were fetched by one version of the source, with the attributes of the plan."""
    others = [str(batch.number) for batch in batches if batch.parts_of_other_versions(version)]
    if others:
        more = f" and {len(others) - _BATCHES_SHOWN} more" if others[_BATCHES_SHOWN:] else ""
        raise Inconsistent(
            f"The records of the batches {', '.join(others[:_BATCHES_SHOWN])}{more} were fetched "
            "by another version of the pipeline's source, or with other attributes. Clear `batch.fetch` of these batches "
            "with its downstream tasks."
        )


def _concatenate(
    paths: Sequence[Path],
    sources: Sequence[Path],
    lines: Sequence[int],
    file_of: Callable[[bytes], int] = lambda _: 0,
) -> None:
    """Write the lines of some JSONL files into one file, or into that of several which ``file_of`` returns.

    Each source must have its number of lines.
    """
    with ExitStack() as stack:
        temporary = [stack.enter_context(whole_file(path)) for path in paths]
        outputs = [stack.enter_context(path.open("wb")) for path in temporary]
        for number, (source, expected) in enumerate(zip(sources, lines, strict=True)):
            found = 0
            try:
                with source.open("rb") as file:
                    for line in file:
                        outputs[file_of(line)].write(line)
                        found += 1
            except FileNotFoundError as error:
                raise _damaged(number, source, "it is missing") from error
            except (ValueError, LookupError, TypeError) as error:
                raise _damaged(number, source, str(error)) from error
            if found != expected:
                raise _damaged(number, source, f"it has {found} lines instead of {expected}")


def _rows(
    batch: Batch, expected: int, schema: pa.Schema, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Yield some columns of the rows of a batch."""
    path = batch.rows_file
    rows = 0
    try:
        # pre_buffer would keep all row groups in memory; read_table would import pyarrow.dataset.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            found = file.schema_arrow
            if not found.remove(found.get_field_index(ITEM)).equals(schema):
                raise _damaged(batch.number, path, "its columns are not those of the contract")
            for part in batches_of(file, ROW_GROUP, columns):
                rows += len(part)
                yield part.select(columns)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(batch.number, path, str(error)) from error
    if rows != expected:
        raise _damaged(batch.number, path, f"it has {rows} rows instead of {expected}")


def _damaged(batch: int, path: Path, reason: str) -> Inconsistent:
    return Inconsistent(
        f"Cannot read {path}: {reason}. Clear `batch.process` of batch {batch} with its downstream "
        "tasks."
    )


def _status(counts: Counts, rejected: int) -> RunStatus:
    if counts.planned == 0:
        return RunStatus.EMPTY
    lost = counts.failed or counts.invalid or rejected
    return RunStatus.PARTIAL if lost else RunStatus.COMPLETE


def _finished_at(workspace: Workspace, plan: Plan) -> str:
    """Return the current time, but not earlier than the run's start or its previous end.

    The clock may be set back, and the warehouse orders the results of a run by their end.
    """
    times = [plan.started_at, utc_text(datetime.now(UTC))]
    if workspace.manifest.exists():
        times.append(Manifest.from_json(read_json(workspace.manifest)).finished_at)
    return max(times)  # ISO 8601 in UTC sorts by time


def _csv(workspace: Workspace, table: str) -> Path:
    return workspace.dataset / f"{table}.csv.gz"


def _entries(workspace: Workspace, table: str, rows: dict[str, int]) -> Iterator[FileEntry]:
    yield _entry(workspace.table(table), "parquet", rows[table], table)
    yield _entry(_csv(workspace, table), "csv.gz", rows[table], table)


def _entry(path: Path, form: str, rows: int, table: str = "") -> FileEntry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(path.name, form, rows, path.stat().st_size, digest, table)
