"""Order lines in files on S3: Fanfold against DuckDB alone, a pandas script and dlt; small files.

All read the same objects of the stack's S3 server and write the same results to it: the lines that
obey the contract and two folds, each as Parquet and as CSV with gzip. The upload is not measured.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from figures import figure, table
from matrix import SCRIPTS, peers_python, s3_environment
from watching import Failed, Usage, run_script

from fanfold.local.settings import BUCKET
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from stack import Bench, DagRun

PIPELINE = "lineitem"
FILES = 100
SMALL_FILES = 100_000
SMALL_FILE = b"l_orderkey,l_comment\n" + b"1," + b"x" * 1_000 + b"\n"
PLANNED_S = 30
"""Seconds that are allowed to read and plan them."""
SCALE = 1.333
"""TPC-H's scale factor at which the table has 1 GB as CSV."""
PEERS = {"duckdb": "DuckDB alone", "pandas": "pandas, 2 processes", "dlt": "dlt"}
FOLDS = ("revenue_by_day", "revenue_by_supplier")
GOALS = {"duckdb": 3.0, "pandas": 1.0, "dlt": 0.33}
"""Ratio of Fanfold's time to that of a peer that is allowed."""
MEMORY_MB = 500
"""Memory that is allowed of a process of Fanfold."""


def files(bench: Bench, gigabytes: float, rounds: int) -> str:
    """Measure the contenders with files of some GB together; return the table."""
    prefix = f"{PIPELINE}/{gigabytes:g}/"
    lines = _upload(bench, prefix, gigabytes)
    taken: dict[str, list[Usage]] = {}
    for _ in range(rounds):
        for name in (*PEERS, "fanfold"):
            used, results = (_script if name in PEERS else _fanfold)(bench, name, prefix)
            taken.setdefault(name, []).append(used)
            size = f"{used.largest_mb:.0f} MB ({used.together_mb:.0f} MB together)"
            print(f"  {name}: {used.seconds:.2f} s, CPU {used.cpu_s:.2f} s, {size}", flush=True)
            _check(results, lines)
            shutil.rmtree(results.parent)
    seconds = {
        name: statistics.median(each.seconds for each in used) for name, used in taken.items()
    }
    rows = []
    for name, used in taken.items():
        ratio = seconds["fanfold"] / seconds[name]
        goal = f"×{ratio:.2f}, at most ×{GOALS[name]}" if name in GOALS else f"{MEMORY_MB} MiB"
        cpu_s = statistics.median(each.cpu_s for each in used)
        largest = max(each.largest_mb for each in used)
        times = [figure(seconds[name], seconds["duckdb"]), figure(cpu_s)]
        rows.append([PEERS.get(name, "Fanfold"), *times, figure(largest), goal])
    header = ["", "seconds", "CPU s", "largest process, MiB", "goal of Fanfold"]
    return f"### {gigabytes:g} GB in {FILES} files\n\n{table(header, rows)}"


def _upload(bench: Bench, prefix: str, gigabytes: float) -> int:
    """Generate and upload the files; return the number of their lines."""
    folder = bench.folder / PIPELINE
    program = str(Path(peers_python()).with_name("tpchgen-cli"))
    generate = [program, "csv", "--quiet", "--tables", PIPELINE, "--output-dir", str(folder)]
    size = ["--scale-factor", str(gigabytes * SCALE), "--parts", str(FILES)]
    subprocess.run([*generate, *size], check=True)
    client, start, lines = bench.stack.s3(), time.perf_counter(), 0
    for path in (folder / PIPELINE).iterdir():
        number = int(path.name.split(".")[1])
        client.upload_file(str(path), BUCKET, f"{prefix}{number:03}.csv")
        with path.open("rb") as file:
            lines += sum(1 for _ in file) - 1
    print(f"  {lines:,} lines uploaded in {time.perf_counter() - start:.1f} s", flush=True)
    shutil.rmtree(folder)
    return lines


def _script(bench: Bench, name: str, prefix: str) -> tuple[Usage, Path]:
    folder = bench.folder / "work"
    options = ["--source", prefix, "--target", f"{name}/{prefix}", "--folder", str(folder)]
    used = run_script(
        [peers_python(), str(SCRIPTS / f"files_{name}.py"), *options],
        environment={"DLT_DATA_DIR": str(folder / "dlt"), **s3_environment(bench)},
        log=bench.folder / "script.log",
        timeout=3600,
    )
    return used, folder / "results"


def _fanfold(bench: Bench, _: str, prefix: str) -> tuple[Usage, Path]:
    run = bench.run(PIPELINE, {"files": [f"s3://{BUCKET}/{prefix}*.csv"]}, timeout=3600)
    return run.usage, _workspace(bench, run).dataset


def _check(results: Path, lines: int) -> None:
    """Check that dataset and folds have all lines, and the folds the same revenue."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folds = [pq.read_table(results / f"{name}.parquet") for name in FOLDS]
    found = [pc.sum(fold["lines"]).as_py() for fold in folds]
    found.append(pq.read_metadata(results / f"{PIPELINE}.parquet").num_rows)
    revenue = [pc.sum(fold["revenue"]).as_py() for fold in folds]
    if set(found) != {lines} or abs(revenue[0] / revenue[1] - 1) > 1e-9:
        raise Failed(f"{found} lines instead of {lines}, revenue {revenue}")


def small_files(bench: Bench) -> list[list[str]]:
    """Measure reading and planning of many small files, and listing them with boto3 alone."""
    client, start = bench.stack.s3(), time.perf_counter()

    def send(number: int) -> None:
        client.put_object(Bucket=BUCKET, Key=f"small/{number:06}.csv", Body=SMALL_FILE)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(SMALL_FILES)))
    print(f"  {SMALL_FILES:,} files uploaded in {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    for _ in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="small/"):
        pass
    listed_s = time.perf_counter() - start
    run = bench.run(PIPELINE, {"files": [f"s3://{BUCKET}/small/*.csv"], "dry_run": True})
    took = {each["task_id"]: each["duration"] or 0 for each in run.instances}
    plan = json.loads(_workspace(bench, run).plan.read_text("utf-8"))
    planned = f"`read_items` and `plan`: {plan['items']:,} items in {len(plan['starts'])} batches"
    seconds = f"{figure(took['read_items'])} s + {figure(took['plan'])} s; at most {PLANNED_S} s"
    return [
        [f"{SMALL_FILES:,} files of 1 KB, listed with boto3 alone", f"{figure(listed_s)} s"],
        [f"{SMALL_FILES:,} files of 1 KB, {planned}", seconds],
    ]


def _workspace(bench: Bench, run: DagRun) -> Workspace:
    return Workspace.of_run(bench.stack.home.shared, PIPELINE, run.run_id)
