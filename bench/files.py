"""Order lines in files on S3: Fanfold against DuckDB alone, a pandas script and dlt; many small files.

All read the same objects of the stack's S3 server and write the same results to it: the lines that
obey the contract and two folds, each as Parquet and CSV with gzip. Nobody loads them into a database,
but dlt does on its way. The objects are uploaded before the measurement.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import figure, table
from matrix import SCRIPTS, Results, peers_python, s3_environment
from stack import Bench, moment
from watching import Failed, Usage, run_script

from fanfold.local.settings import BUCKET
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

PIPELINE = "lineitem"
FILES = 100
SMALL_FILES = 100_000
SMALL_BYTES = 1_000
SCALE = 1.333
"""TPC-H's scale factor whose table lineitem has 1 GB as CSV."""
FOLDS = ("revenue_by_day", "revenue_by_supplier")
GOALS = {"duckdb": 3.0, "pandas": 1.0, "dlt": 0.33}
"""Contender → ratio of Fanfold's time to its that is allowed, at 1 GB."""
MEMORY_MB = 500
"""Most memory of a process of Fanfold."""


def upload(bench: Bench, gigabytes: float) -> str:
    """Generate and upload the table; return its prefix."""
    prefix, folder = f"{PIPELINE}/{gigabytes:g}", bench.folder / PIPELINE
    generate = [Path(peers_python()).with_name("tpchgen-cli"), "csv", "--quiet", "--tables=lineitem"]
    size = [f"--scale-factor={gigabytes * SCALE}", f"--parts={FILES}", f"--output-dir={folder}"]
    subprocess.run([*generate, *size], check=True)
    client = bench.stack.s3()

    def send(path: Path) -> None:
        number = int(path.name.split(".")[1])
        client.upload_file(path, BUCKET, f"{prefix}/{number:03}.csv")

    start, paths = time.perf_counter(), sorted((folder / PIPELINE).iterdir())
    stored = sum(path.stat().st_size for path in paths) / 1e9
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, paths))
    print(f"  {stored:.2f} GB uploaded in {time.perf_counter() - start:.1f} s", flush=True)
    shutil.rmtree(folder)
    return prefix
