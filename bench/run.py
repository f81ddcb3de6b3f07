"""Measure on this machine: `make bench`, or parts of it.

    python bench/run.py --only matrix --sizes 100 1000 --latency 0 --contenders fanfold plain2
    python bench/run.py --json figures.json && python bench/page.py figures.json

Sections:

    imports       importing a DAG file, over ``import airflow.sdk``
    overhead      20 mapped users against a DAG of the same shape that does nothing
    clients       HTTP clients against each other
    matrix        Fanfold and its peers: time, CPU and memory, by size and latency
    in-flight     how much of concurrency divided by latency is reached
    mapped-tasks  what a mapped task costs, with and without what keeps it cheap
    model         four constants that predict a run's time, checked on other runs

Figures are medians, memory is the peak. A contender that fails is reported, and the rest goes on.
What is kept with ``--json`` is written after each round; run again, it is added to.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matrix
import model
import startup
import tables
from ground import Ground
from results import Results

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the bench: what measures it, and the tables that show it."""

    measure: Callable[[Ground, Results, Any], None]
    tables: tuple[str, ...]


def _matrix(ground: Ground, results: Results, given: Any) -> None:
    if "mapped" in given.contenders:
        matrix.measure_slope(ground, results)
    matrix.measure_cells(
        "matrix",
        ground,
        results,
        matrix.cells(given.sizes, given.latency),
        given.contenders,
        given.rounds,
        given.mapped_limit,
    )


def _in_flight(ground: Ground, results: Results, given: Any) -> None:
    cases = [matrix.Case(given.flight_items, 50, flight) for flight in (50, 100, 200)]
    names = ["fanfold", "plain2", "fast1", "fast2"]
    matrix.measure_cells("in_flight", ground, results, cases, names, given.rounds)


def _mapped_tasks(ground: Ground, results: Results, given: Any) -> None:
    ground.close_stack()
    startup.measure_mapped_tasks(results, given.model_rounds)


SECTIONS = {
    "imports": Section(
        lambda ground, results, given: startup.measure_imports(
            results, ground.folder, given.rounds
        ),
        (),
    ),
    "overhead": Section(
        lambda ground, results, given: startup.measure_overhead(ground, results, given.rounds),
        ("overhead",),
    ),
    "clients": Section(
        lambda _, results, given: startup.measure_clients(results, given.rounds), ("clients",)
    ),
    "matrix": Section(_matrix, ("matrix", "not-run", "growth")),
    "in-flight": Section(_in_flight, ("in-flight",)),
    "model": Section(
        lambda ground, results, given: model.measure_model(ground, results, given.model_rounds),
        ("model",),
    ),
    # Last: it stops the stack and starts others.
    "mapped-tasks": Section(_mapped_tasks, ("mapped-tasks",)),
}


def main() -> None:
    """Measure what is asked for and print the tables."""
    given = _arguments()
    results = Results(given.json)
    print(tables.machine(results.data), flush=True)
    print(f"Median of {given.rounds} rounds; one from {matrix.LONG:,} users on.\n", flush=True)
    # Ended from outside, it stops its stack and removes its folder too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    with Ground() as ground:
        for name, section in SECTIONS.items():
            if name in given.only:
                print(f"{name} (after {(time.monotonic() - start) / 60:.0f} min)", flush=True)
                try:
                    section.measure(ground, results, given)
                except Exception as error:  # noqa: BLE001 - what fails is told, the rest goes on
                    print(f"  {name}: FAILED: {error!r}", flush=True)
                    ground.close_stack()
    shown = [table for name in SECTIONS if name in given.only for table in SECTIONS[name].tables]
    for name in (*shown, "goals"):
        print(f"\n## {name}\n\n{tables.TABLES[name](results.data)}")
    print(f"\n{(time.monotonic() - start) / 60:.0f} minutes.")


def _arguments() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument(
        "--latency", type=int, nargs="+", default=[0, 50], help="milliseconds of each answer"
    )
    names = list(matrix.CONTENDERS)
    parser.add_argument("--contenders", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--mapped-limit",
        type=int,
        default=matrix.MAPPED_LIMIT,
        help="users up to which the DAG with a task a user is run (at most 1,024)",
    )
    parser.add_argument("--flight-items", type=int, default=5_000)
    parser.add_argument("--model-rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where the raw figures are kept and added to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
