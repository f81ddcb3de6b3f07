"""1,000 trivial items in the pipeline concurrent_sum, against the same in plain TaskFlow."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING

from figures import figure
from watching import Failed

from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from stack import Bench, DagRun

PIPELINE, PLAIN = "concurrent_sum", "chunked_sum"
NUMBERS = 1_000
GOAL = 1.5
"""Ratio that is allowed of Fanfold's time to that of plain TaskFlow with 8 mapped chunks."""


def compute(bench: Bench, rounds: int) -> list[list[str]]:
    """Measure both DAGs in turn; Fanfold's batches have the automatic size."""
    numbers = {"items": [str(number) for number in range(1, NUMBERS + 1)]}
    bench.run(PIPELINE, {"items": ["1"]})  # the first run imports more
    runs: dict[str, list[DagRun]] = {PLAIN: [], PIPELINE: []}
    for _ in range(rounds):
        for dag_id, conf in ((PLAIN, {}), (PIPELINE, numbers)):
            run = bench.run(dag_id, conf)
            runs[dag_id].append(run)
            print(f"  {dag_id}: {run.usage.seconds:.2f} s, CPU {run.usage.cpu_s:.2f} s", flush=True)
    _check(bench, runs[PIPELINE][-1].run_id)
    plain, ours = (statistics.median(run.usage.seconds for run in taken) for taken in runs.values())
    mapped = sum(each["task_id"] == "batch.fetch" for each in runs[PIPELINE][-1].instances)
    return [
        [f"{NUMBERS:,} numbers, plain TaskFlow with 8 mapped chunks", f"{figure(plain)} s"],
        [
            f"{NUMBERS:,} numbers, `{PIPELINE}` with {mapped} batches",
            f"{figure(ours, plain)} s; at most ×{GOAL}",
        ],
    ]


def _check(bench: Bench, run_id: str) -> None:
    import pyarrow.parquet as pq

    workspace = Workspace.of_run(bench.stack.home.shared, PIPELINE, run_id)
    counts = json.loads(workspace.manifest.read_text("utf-8"))["counts"]
    (total,) = pq.read_table(workspace.table("total_sum"))["total"].to_pylist()
    if (counts["ok"], total) != (NUMBERS, sum(range(NUMBERS + 1))):
        raise Failed(f"{counts} with the sum {total} for {NUMBERS} numbers")
