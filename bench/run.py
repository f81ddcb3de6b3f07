"""Speed on this machine: `make bench`, or parts of it.

    python bench/run.py --only matrix --sizes 1000 --latency 0 --contenders fanfold plain2

Sections:

    imports   import time of a DAG file, in addition to ``import airflow.sdk``
    overhead  20 mapped users against a DAG of the same shape that does nothing
    compute   1,000 trivial items of a Python function against plain TaskFlow with 8 mapped chunks
    matrix    Fanfold and its peers: time, CPU and memory by size and latency
    merge     consolidate in mode merge: a first run, and 1 % of its rows changed by the next one
    files     order lines in 100 files on S3: Fanfold, DuckDB alone, a pandas script, dlt
    files-small  read and plan 100,000 files of 1 KB on S3; not measured unless named

Times and CPU are medians of the rounds, memory is the peak. Prints each round and, at the end,
Markdown tables. A contender that fails ends the bench.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from compute import compute
from figures import figure, machine, table
from files import files, small_files
from matrix import BASELINE, CONTENDERS, MAPPED_LIMIT, Case, Measured
from merge import merge
from stack import FIRST_UID, PIPELINE, ROOT, Bench, running_bench

if TYPE_CHECKING:
    from collections.abc import Callable

    Cells = dict[tuple[str, Case], list[Measured]]

SECTIONS = ("imports", "overhead", "compute", "matrix", "files", "merge")
_IMPORT = """
import sys, time
import airflow.sdk
start = time.perf_counter()
__import__(sys.argv[1])
print((time.perf_counter() - start) * 1000)
"""
GOALS = ((10_000, BASELINE, 1.0), (10_000, "dlt", 0.55))
"""Users, contender, and the ratio of Fanfold's time to it that is allowed, without latency."""
OVERHEAD = 1.4
"""Ratio that is allowed of 20 mapped users to an empty DAG of the same shape."""


def imports(rounds: int) -> list[list[str]]:
    """Measure the import time of each DAG file, compiled as on a worker."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="fanfold-bench-") as folder:
        environment = os.environ | {
            "AIRFLOW_HOME": f"{folder}/airflow",
            "PYTHONPATH": str(ROOT / "dags"),
            "PYTHONPYCACHEPREFIX": f"{folder}/pycache",
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for path in sorted((ROOT / "dags").glob("*.py")):
            command = [sys.executable, "-W", "ignore", "-c", _IMPORT, path.stem]
            taken = []
            for _ in range(max(rounds, 5) + 1):  # the first one compiles
                done = subprocess.run(command, env=environment, check=True, capture_output=True)
                taken.append(float(done.stdout.split()[-1]))
            cost = statistics.median(taken[1:])
            rows.append([f"importing {path.name}, over `import airflow.sdk`", f"{cost:.0f} ms"])
    return rows


def overhead(bench: Bench, rounds: int) -> list[list[str]]:
    """Measure 20 users, one mapped task each, against a DAG of the same shape that does nothing."""
    users = {"user_ids": [str(FIRST_UID + number) for number in range(20)]}
    seconds: dict[str, list[float]] = {"empty_shape": [], PIPELINE: []}
    for _ in range(rounds):
        for dag_id, conf in (("empty_shape", {}), (PIPELINE, users)):
            seconds[dag_id].append(bench.run(dag_id, conf).usage.seconds)
            print(f"  {dag_id}: {seconds[dag_id][-1]:.2f} s", flush=True)
    empty, pipeline = (statistics.median(taken) for taken in seconds.values())
    return [
        ["20 mapped users, a DAG of the same shape that does nothing", f"{empty:.1f} s"],
        ["20 mapped users, the pipeline", f"{figure(pipeline, empty)}; at most ×{OVERHEAD}"],
    ]


def measure(bench: Bench, cases: list[Case], names: list[str], rounds: int) -> Cells:
    """Measure each contender in each case, in turn."""
    cells: Cells = {}
    for case in cases:
        for _ in range(rounds):
            for name in names:
                if name == "mapped" and case.items > MAPPED_LIMIT:
                    continue
                found = CONTENDERS[name][1](bench, case)
                cells.setdefault((name, case), []).append(found)
                used = found.usage
                print(
                    f"  {name}, {case}: {used.seconds:.2f} s, CPU {used.cpu_s:.2f} s, "
                    f"{used.largest_mb:.0f} MB ({used.together_mb:.0f} MB together)",
                    flush=True,
                )
    return cells


def seconds_of(rounds: list[Measured]) -> float:
    """Return the median time."""
    return statistics.median(each.usage.seconds for each in rounds)


def _tables(cells: Cells) -> str:
    metrics: dict[str, Callable[[Case, list[Measured]], float]] = {
        "seconds": lambda _, rounds: seconds_of(rounds),
        "CPU s per 1,000": lambda case, rounds: (
            1000 * statistics.median(each.usage.cpu_s for each in rounds) / case.items
        ),
        "largest process, MiB": lambda _, rounds: max(each.usage.largest_mb for each in rounds),
        "all processes, MiB": lambda _, rounds: max(each.usage.together_mb for each in rounds),
        "users fetched/s": lambda case, rounds: (
            case.items / statistics.median(each.fetch_s for each in rounds)
        ),
    }
    parts = []
    for case in dict.fromkeys(case for _, case in cells):
        base = cells.get((BASELINE, case))
        rows = [
            [
                CONTENDERS[name][0],
                *(
                    figure(of(case, rounds), of(case, base) if base else None)
                    for of in metrics.values()
                ),
            ]
            for (name, its_case), rounds in cells.items()
            if its_case == case
        ]
        flight = f"{case.in_flight} in flight" if case.in_flight else "16 in flight a process"
        title = f"### {case.items:,} users, {case.latency_ms} ms, {flight}"
        parts.append(f"{title}\n\n{table(['', *metrics], rows)}")
    return "\n\n".join(parts)


def goals(cells: Cells) -> list[list[str]]:
    """Return a row for each goal whose contenders were measured."""
    rows = []
    for items, other, most in GOALS:
        ours, theirs = (cells.get((name, Case(items))) for name in ("fanfold", other))
        if ours and theirs:
            ratio = seconds_of(ours) / seconds_of(theirs)
            label = f"{items:,} users, 0 ms: time of {CONTENDERS[other][0]}"
            met = "yes" if ratio <= most else "no"
            rows.append([label, f"×{most:.2f}", f"×{ratio:.2f}", met])
    return rows


def _arguments() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=[*SECTIONS, "files-small"], default=SECTIONS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--latency", type=int, nargs="+", default=[0, 50], help="ms")
    flight = "requests in flight of all processes, with latency"
    parser.add_argument("--in-flight", type=int, nargs="+", default=[200], help=flight)
    parser.add_argument("--merge-rows", type=int, default=10_000_000)
    gigabytes = "sizes of the section files, GB"
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1.0], help=gigabytes)
    names = list(CONTENDERS)
    parser.add_argument("--contenders", nargs="+", choices=names, default=names)
    return parser.parse_args()


def _cases(given: Any) -> list[Case]:
    return [
        Case(items, latency, in_flight if latency else None)
        for items in given.sizes
        for latency in given.latency
        for in_flight in (given.in_flight if latency else [None])
    ]


def main() -> None:
    """Measure the sections and print the tables."""
    given = _arguments()
    # Terminated, it stops its stack and removes its folder too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = imports(given.rounds) if "imports" in given.only else []
    rows += merge(given.merge_rows) if "merge" in given.only else []
    cells: Cells = {}
    tables: list[str] = []
    if set(given.only) - {"imports", "merge"}:
        with running_bench() as bench:
            if "overhead" in given.only:
                rows += overhead(bench, given.rounds)
            if "compute" in given.only:
                rows += compute(bench, given.rounds)
            if "matrix" in given.only:
                cells = measure(bench, _cases(given), given.contenders, given.rounds)
            if "files" in given.only:
                tables = [files(bench, size, given.rounds) for size in given.gigabytes]
            if "files-small" in given.only:
                rows += small_files(bench)
    print(f"\n{machine()} Median of {given.rounds} rounds.")
    if rows:
        print(f"\n{table(['', ''], rows)}")
    for each in (*tables, *([_tables(cells)] if cells else [])):
        print(f"\n{each}")
    if met := goals(cells):
        print(f"\n{table(['goal', 'at most', 'measured', 'met'], met)}")


if __name__ == "__main__":
    main()
