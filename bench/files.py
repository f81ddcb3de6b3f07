"""Order lines in files on S3: Fanfold against DuckDB alone, a pandas script and dlt; small files.

All read the same objects of the stack's S3 server and write the same results to it: the lines that
obey the contract and two folds, each as Parquet and as CSV with gzip. The upload is not measured.
"""

from __future__ import annotations

import io
import json
import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
            shutil.rmtree(bench.folder / "work", ignore_errors=True)
            used, results = (_fanfold if name == "fanfold" else _script)(bench, name, prefix)
            print(
                f"  {name}, {gigabytes:g} GB: {used.seconds:.2f} s, CPU {used.cpu_s:.2f} s, "
                f"{used.largest_mb:.0f} MB",
                flush=True,
            )
            _check(bench, results, lines)
            taken.setdefault(name, []).append(used)
    seconds = {
        name: statistics.median(each.seconds for each in used) for name, used in taken.items()
    }
    largest = {name: max(each.largest_mb for each in used) for name, used in taken.items()}
    rows = [
        [
            PEERS.get(name, "Fanfold"),
            figure(seconds[name], seconds["duckdb"]),
            figure(statistics.median(each.cpu_s for each in used)),
            figure(largest[name]),
            f"at most ×{GOALS[name]}: ×{seconds['fanfold'] / seconds[name]:.2f}"
            if name in GOALS
            else f"at most {MEMORY_MB} MiB",
        ]
        for name, used in taken.items()
    ]
    header = ["", "seconds", "CPU s", "largest process, MiB", "goal: Fanfold"]
    return f"### {gigabytes:g} GB in {FILES} files\n\n{table(header, rows)}"


def _upload(bench: Bench, prefix: str, gigabytes: float) -> int:
    """Generate and upload the files; return the number of their lines."""
    folder = bench.folder / PIPELINE
    program = str(Path(peers_python()).with_name("tpchgen-cli"))
    generate = [program, "csv", "--quiet", "--tables", PIPELINE, "--output-dir", str(folder)]
    size = ["--scale-factor", str(gigabytes * SCALE), "--parts", str(FILES)]
    subprocess.run([*generate, *size], check=True)
    paths = sorted((folder / PIPELINE).iterdir())
    client, start = bench.stack.s3(), time.perf_counter()

    def send(path: Path) -> int:
        number = int(path.name.split(".")[1])
        client.upload_file(str(path), BUCKET, f"{prefix}{number:03}.csv")
        with path.open("rb") as file:
            return sum(1 for _ in file) - 1

    with ThreadPoolExecutor(4) as pool:
        lines = sum(pool.map(send, paths))
    print(f"  {lines:,} lines uploaded in {time.perf_counter() - start:.1f} s", flush=True)
    shutil.rmtree(folder)
    return lines


def _script(bench: Bench, name: str, prefix: str) -> tuple[Usage, str]:
    folder, target = bench.folder / "work", f"{name}/{prefix}"
    used = run_script(
        [
            *(peers_python(), str(SCRIPTS / f"files_{name}.py"), "--source", prefix),
            *("--target", target, "--folder", str(folder)),
        ],
        environment={"DLT_DATA_DIR": str(folder / "dlt"), **s3_environment(bench)},
        log=bench.folder / "script.log",
        timeout=3600,
    )
    return used, target


def _fanfold(bench: Bench, _: str, prefix: str) -> tuple[Usage, str]:
    run = bench.run(PIPELINE, {"files": [f"s3://{BUCKET}/{prefix}*.csv"]}, timeout=3600)
    for each in sorted(run.instances, key=lambda each: str(each["start_date"])):
        if each["duration"] and each["map_index"] <= 0:
            print(f"    {each['task_id']}: {each['duration']:.1f} s")
    shutil.rmtree(_workspace(bench, run).root)
    pages = bench.stack.s3().get_paginator("list_objects_v2")
    found = [
        each["Key"]
        for page in pages.paginate(Bucket=BUCKET, Prefix=f"{PIPELINE}/date=")
        for each in page.get("Contents", [])
        if run.run_id in each["Key"] and each["Key"].endswith(f"/{PIPELINE}.parquet")
    ]
    return run.usage, found[0].removesuffix(f"{PIPELINE}.parquet")


def _check(bench: Bench, results: str, lines: int) -> None:
    """Check that dataset and folds account for all lines, and for the same revenue."""
    import pyarrow.parquet as pq

    def read(name: str) -> Any:
        key = f"{results}{name}.parquet"
        body = bench.stack.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return pq.ParquetFile(io.BytesIO(body))

    folds = [read(name).read() for name in ("revenue_by_day", "revenue_by_supplier")]
    sums = [[sum(fold[name].to_pylist()) for name in ("lines", "revenue")] for fold in folds]
    counted = [read(PIPELINE).metadata.num_rows, sums[0][0], sums[1][0]]
    if counted != [lines] * 3 or abs(sums[0][1] / sums[1][1] - 1) > 1e-9:
        raise Failed(f"{results}: {counted} lines instead of {lines}, revenue {sums}")


def small_files(bench: Bench) -> list[list[str]]:
    """Measure reading and planning of many small files, and listing them with boto3 alone."""
    client, start = bench.stack.s3(), time.perf_counter()

    def send(number: int) -> None:
        client.put_object(Bucket=BUCKET, Key=f"small/{number:06}.csv", Body=SMALL_FILE)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(SMALL_FILES)))
    print(f"  {SMALL_FILES:,} files uploaded in {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="small/")
    listed = sum(len(page["Contents"]) for page in pages)
    seconds = time.perf_counter() - start
    if listed != SMALL_FILES:
        raise Failed(f"{listed} small files")
    conf = {"files": [f"s3://{BUCKET}/small/*.csv"], "dry_run": True}
    run = bench.run(PIPELINE, conf)
    took = {each["task_id"]: each["duration"] or 0 for each in run.instances}
    plan = json.loads(_workspace(bench, run).plan.read_text("utf-8"))
    return [
        [f"{SMALL_FILES:,} files of 1 KB, listed with boto3 alone", f"{figure(seconds)} s"],
        [
            f"the same, `read_items` and `plan` ({plan['items']:,} items in {len(plan['starts'])} batches)",
            f"{figure(took['read_items'])} s + {figure(took['plan'])} s; at most {PLANNED_S} s",
        ],
    ]


def _workspace(bench: Bench, run: DagRun) -> Workspace:
    return Workspace.of_run(bench.stack.home.shared, PIPELINE, run.run_id)
