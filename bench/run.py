"""Measure the pipeline on this machine: `make bench`, or `python bench/run.py --users 2000`.

Prints medians and, for each figure, its ratio to a baseline measured in the same run:

1. Importing a DAG file, over ``import airflow.sdk``, with compiled files as a worker has them.
2. 20 users, a mapped task each, against a DAG of the same shape whose tasks do nothing.
3. Many users from a server without latency, DAG run from start to end (S3, database and report
   included), against ``bench/plain.py``: requests, 16 threads, one Parquet file.

bench/simulator.py measures the server that answers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.embedded.stack import running_stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.embedded.stack import Stack

ROOT = Path(__file__).resolve().parents[1]
FIRST_UID = 2_000_000_000
THREADS = 16
IMPORT = """
import sys, time
import airflow.sdk
start = time.perf_counter()
__import__(sys.argv[1])
print((time.perf_counter() - start) * 1000)
"""


def main() -> None:
    """Run all measurements and print the tables."""
    parser = argparse.ArgumentParser(description="Measure the pipeline against baselines.")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["imports", "overhead", "throughput"])
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}; median of {options.rounds}\n")
    with tempfile.TemporaryDirectory(prefix="fanfold-bench-") as folder:
        if options.only in {None, "imports"}:
            measure_imports(Path(folder), options.rounds)
        dags = Path(folder) / "dags"
        shutil.copytree(ROOT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "bench" / "dags" / "empty_shape.py", dags)
        with running_stack(Path(folder) / "stack", dags=dags) as stack:
            if options.only in {None, "overhead"}:
                measure_overhead(stack, options.rounds)
            if options.only in {None, "throughput"}:
                measure_throughput(stack, Path(folder), options.users, options.rounds)


def measure_imports(folder: Path, rounds: int) -> None:
    """Print what a DAG file costs over ``import airflow.sdk``."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "PYTHONPATH": str(ROOT / "dags"),
        "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def milliseconds(module: str) -> float:
        command = [sys.executable, "-W", "ignore", "-c", IMPORT, module]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return float(done.stdout.splitlines()[-1])

    for module in ("weibo_user_profiles", "mastodon_user_profiles"):
        milliseconds(module)  # compiles
        cost = statistics.median(milliseconds(module) for _ in range(max(rounds, 5)))
        print(f"import {module}: {cost:.0f} ms over import airflow.sdk (goal: 100)")
    print()


def measure_overhead(stack: Stack, rounds: int) -> None:
    """Print 20 mapped users against 20 mapped tasks that do nothing."""
    users = {"user_ids": [str(FIRST_UID + number) for number in range(20)]}
    table(
        "20 users, one mapped task each",
        [
            ("empty DAG of the same shape", lambda: dag_seconds(stack, "empty_shape", {})),
            ("weibo_user_profiles", lambda: dag_seconds(stack, "weibo_user_profiles", users)),
        ],
        rounds,
        goal=1.5,
    )


def measure_throughput(stack: Stack, folder: Path, users: int, rounds: int) -> None:
    """Print the whole pipeline against a plain script."""
    uids = folder / "users.csv"
    uids.write_text("\n".join(["user_id", *(str(FIRST_UID + n) for n in range(users))]) + "\n")

    def plain() -> float:
        start = time.perf_counter()
        command = [
            *(sys.executable, str(ROOT / "bench" / "plain.py"), stack.simulator_url, stack.token),
            *(str(FIRST_UID), str(users), str(THREADS), str(folder / "plain.parquet")),
        ]
        subprocess.run(command, check=True)
        return time.perf_counter() - start

    conf = {"items_uri": uids.as_uri()}
    table(
        f"{users:,} users, no latency",
        [
            (f"plain requests, {THREADS} threads", plain),
            ("weibo_user_profiles", lambda: dag_seconds(stack, "weibo_user_profiles", conf)),
        ],
        rounds,
        goal=2.5,
    )


def dag_seconds(stack: Stack, dag_id: str, conf: dict[str, object]) -> float:
    """Run a DAG and return the seconds from its start to its end."""
    run_id = stack.trigger(dag_id, conf)
    state = stack.wait(dag_id, run_id, timeout=900)
    if state != "success":
        raise SystemExit(f"{run_id} of {dag_id} is {state}: see {stack.home.logs}")
    run = stack.api("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
    start, end = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (end - start).total_seconds()


def table(
    title: str, contenders: list[tuple[str, Callable[[], float]]], rounds: int, *, goal: float
) -> None:
    """Measure the contenders in turn and print medians and ratios to the first."""
    seconds: dict[str, list[float]] = {name: [] for name, _ in contenders}
    for _ in range(rounds):
        for name, measure in contenders:
            seconds[name].append(measure())
    print(title)
    base = statistics.median(seconds[contenders[0][0]])
    for name, taken in seconds.items():
        median = statistics.median(taken)
        spread = f"{min(taken):.1f}–{max(taken):.1f}"
        print(f"  {name:32} {median:7.1f} s  ({spread})  ×{median / base:.2f}")
    print(f"  goal: ×{goal}\n")


if __name__ == "__main__":
    main()
