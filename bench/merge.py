"""Merge 1 % of changed rows into a published dataset of 10,000,000: time, CPU and memory of consolidate."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandera.pandas as pa_schema
import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.loader import Loaded
from fanfold.model import Basis, Counts, Forecast, Manifest, Plan, RunIdentity
from fanfold.pipeline import Pipeline
from fanfold.sources import Files
from fanfold.stages.consolidating import consolidate
from fanfold.stages.processing import arrow_schema
from fanfold.workspace.base import LEDGER, STATE, Base, BaseRef, write_base_ref
from fanfold.workspace.batch import ITEM
from fanfold.workspace.files import read_json, write_json, write_jsonl
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import Closed, write_closed

FILE = 10_000
"""Rows of a file."""


class Line(pa_schema.DataFrameModel):
    """An order line."""

    order_id: int
    line: int
    product: str
    quantity: int
    price: float
    changed_at: int


PIPELINE = Pipeline(
    name="orders",
    noun="file",
    source=Files(),
    contract=Line,
    key=("order_id", "line"),
    newest="changed_at",
    mode="merge",
)


def _write_run(workspace: Workspace, files: dict[str, int], as_of: datetime) -> None:
    """Write the workspace of a run: files of order lines, from their first order."""
    schema = pa.schema([pa.field(ITEM, pa.string(), nullable=False), *arrow_schema(Line)])
    plan = Plan(
        "orders", len(files), 0, tuple(range(len(files))), "", "", Forecast(0, None, Basis.UNKNOWN)
    )
    write_json(workspace.plan, plan.as_json())
    products = pa.array([f"product {number:04d}" for number in range(2_000)])
    for number, (key, first) in enumerate(files.items()):
        batch = workspace.batch(number)
        write_jsonl(batch.items_file, [key])
        write_jsonl(batch.attributes_file, [{"etag": str(as_of), "size": 1}])
        for path in (batch.failed_file, batch.rejected_file):
            write_jsonl(path, [])
        rows = np.arange(first * FILE, (first + 1) * FILE)
        random = np.random.default_rng(first)
        columns = [
            pa.repeat(key, FILE),
            pa.array(rows // 4),
            pa.array(rows % 4),
            products.take(pa.array(random.integers(0, 2_000, FILE))),
            pa.array(random.integers(1, 9, FILE)),
            pa.array(random.integers(100, 99_999, FILE) / 100),
            pa.repeat(int(as_of.timestamp()), FILE),
            pa.repeat(pa.scalar(as_of, schema.field("as_of").type), FILE),
        ]
        pq.write_table(
            pa.Table.from_arrays(columns, schema=schema), batch.rows_file, compression="zstd"
        )
        write_closed(batch, Closed(number, Counts(1, 1), 0, FILE, 0, code="code"))


def _consolidate(folder: Path, files: dict[str, int], day: int, base: Base | None) -> None:
    """Make a run and print what its consolidation takes."""
    as_of = datetime(2026, 1, day, tzinfo=UTC)
    workspace = Workspace(folder)
    _write_run(workspace, files, as_of)
    write_base_ref(workspace, BaseRef(base.manifest.generation if base else 0))
    start, cpu, before = time.perf_counter(), time.process_time(), _peak_mb()
    made = consolidate(
        workspace, RunIdentity("orders", f"run {day}", as_of), Loaded(PIPELINE, "code"),
        lambda batch: sys.exit(f"batch {batch.number} is not closed"),
        schema=arrow_schema(Line), version="", base=base,
    )  # fmt: skip
    taken = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    print(json.dumps({**taken, "mb": _peak_mb(), "before_mb": before, "rows": made.rows}))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _main(folder: Path, rows: int) -> None:
    """Make the first run in a folder, or the next one after it."""
    first, files = Workspace(folder / "first"), range(rows // FILE)
    if not first.manifest.exists():
        _consolidate(first.root, {f"file-{n:06d}": n for n in files}, 1, None)
        return
    manifest = Manifest.from_json(read_json(first.manifest))
    paths = [first.dataset / manifest.file_of("", form).key for form in (STATE, LEDGER)]
    # Half of the files are corrected, the others are new and repeat all keys of an earlier file.
    changed = {f"file-{n:06d}{'-late' * (n % 200 > 0)}": n for n in files if n % 100 == 0}
    _consolidate(folder / "next", changed, 2, Base(manifest, "base", *paths))


def merge(rows: int) -> list[list[str]]:
    """Measure the consolidation of a first run, and of one that changes 1 % of its rows."""
    lines = []
    with tempfile.TemporaryDirectory(prefix="fanfold-bench-") as folder:
        for what in (f"first run, {rows:,} rows", "merge of 1 % changed rows into them"):
            command = [sys.executable, __file__, folder, str(rows)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            print(f"  {what}: {found}", flush=True)
            lines.append(
                [what, f"{found['seconds']:.0f} s, CPU {found['cpu']:.0f} s, {found['mb']:.0f} MiB"]
            )
    return lines


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
