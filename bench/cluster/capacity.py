"""How many workers are enough, and what a day of 100 million items takes.

    python bench/cluster/capacity.py [--measured FILE]

Prints the tables of docs/scaling.md from a simulation (simulation.py), in less than a minute;
``--page docs/scaling.md`` puts them between the marks of that page. ``--measured`` takes the JSON that
the cluster's benchmark writes: its rows are simulated too, and what it measured of the parameters
replaces their defaults.

    python bench/cluster/capacity.py --only sizing --items 3000000 --minutes 20 --latency 0.2
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measured
import reports
from parameters import Cluster, Work
from sizing import MOST_WORKERS, day, first_runs, for_a_day, sensitivity, smallest, with_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sizing import Answer

PERFORMANCE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
_PLACE = re.compile(r"(<!-- bench:cluster-([a-z]+) -->\n).*?(<!-- /bench -->)", re.DOTALL)

DAY = 100_000_000
SHARDS = 48
BATCH = 10_000
LATENCY_S = 0.2
AT_MOST_S = 3600.0
"""Seconds after which the dataset of a run has to be out."""
WINDOWS = (24, 8)
"""Hours in which the day's runs are done."""
FIRST_RUNS = 12
"""Runs of a day that stand for all of it where many days are compared."""
SIZES: tuple[tuple[Work, float], ...] = (
    (Work(1_000_000, latency_s=LATENCY_S), 30),
    (Work(1_000_000, latency_s=LATENCY_S), 10),
    (Work(1_000_000, latency_s=LATENCY_S, concurrency=64), 10),
    (Work(1_000_000, latency_s=LATENCY_S), 5),
    (Work(1_000_000, latency_s=LATENCY_S, concurrency=64), 5),
    (Work(1_000_000, latency_s=LATENCY_S), 1),
    (Work(1_000_000, latency_s=LATENCY_S, per_second=500.0), 60),
    (Work(1_000_000, latency_s=LATENCY_S, per_second=50.0), 60),
    (Work(1_000_000, latency_s=LATENCY_S, per_second=50.0, items_per_request=50), 60),
    (Work(10_000, latency_s=LATENCY_S, per_hour=1_000), 60),
)
"""Items, what the source allows, and the minutes that they may take."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command was told."""

    cluster: Cluster
    data: dict[str, Any]
    sizes: Sequence[tuple[Work, float]]
    seed: int


def check(_: Given) -> str:
    """Return the runs of docs/performance.md against the simulation."""
    return reports.compared(measured.on_page(PERFORMANCE.read_text("utf-8")))


def simulated(given: Given) -> str:
    """Return the rows of the cluster's benchmark against the simulation."""
    if not given.data.get("rows"):
        return "Not measured."
    return reports.compared(measured.in_file(given.cluster, given.data))


def workers(given: Given) -> str:
    """Return the time of a million items by workers, and what bounds it."""
    return reports.by_workers(given.cluster, Work(1_000_000, latency_s=LATENCY_S), given.seed)


def executors(given: Given) -> str:
    """Return the same work in workers and in a pod for each task."""
    return reports.by_executor(given.cluster, Work(1_000_000, latency_s=LATENCY_S), given.seed)


def sizing(given: Given) -> str:
    """Return how many workers bring items through in time, or why none do."""
    rows = [
        (work, minutes, smallest(given.cluster, work, 60 * minutes, seed=given.seed))
        for work, minutes in given.sizes
    ]
    return reports.sizes(rows)


def a_day(*, finish_first: bool = False) -> Work:
    """Return a day of 100 million items, all at once."""
    return Work(DAY, SHARDS, batch_size=BATCH, latency_s=LATENCY_S, finish_first=finish_first)


@cache
def _planned(cluster: Cluster, hours: int, seed: int) -> tuple[Work, Answer]:
    work = day(a_day(), 3600 * hours)
    return work, for_a_day(cluster, work, AT_MOST_S, seed)


def plan(given: Given) -> str:
    """Return the plan for 100 million items a day, in windows of several lengths."""
    return reports.days([(hours, *_planned(given.cluster, hours, given.seed)) for hours in WINDOWS])


def turns(given: Given) -> str:
    """Return what it does to a day that the runs of one DAG follow each other."""
    rows = []
    for hours in WINDOWS:
        work, answer = _planned(given.cluster, hours, given.seed)
        for in_turn in (True, False):
            some = first_runs(replace(work, in_turn=in_turn), FIRST_RUNS)
            rows.append((hours, answer.workers or MOST_WORKERS, some))
    return reports.by_turns(given.cluster, rows, given.seed)


def order(given: Given) -> str:
    """Return what the order of tasks does where slots are scarce."""
    rows = []
    for finish_first in (False, True):
        work = first_runs(day(a_day(finish_first=finish_first), 3600 * WINDOWS[0]), FIRST_RUNS)
        rows += [(finish_first, count, work) for count in (2, 3)]
    return reports.by_order(given.cluster, rows, given.seed)


def uncertain(given: Given) -> str:
    """Return what the plan comes to where a parameter is worse than it is taken for."""
    work, answer = _planned(given.cluster, WINDOWS[1], given.seed)
    cluster = with_workers(given.cluster, answer.workers or 1)
    found = sensitivity(cluster, first_runs(work, FIRST_RUNS), given.seed)
    return reports.changes(found, AT_MOST_S)


def parameters(given: Given) -> str:
    """Return every parameter with its value, and where that comes from."""
    return reports.parameters(given.cluster)


TABLES: dict[str, Callable[[Given], str]] = {
    "check": check,
    "simulated": simulated,
    "workers": workers,
    "executors": executors,
    "sizing": sizing,
    "plan": plan,
    "turns": turns,
    "order": order,
    "uncertain": uncertain,
    "parameters": parameters,
}
"""Mark in docs/scaling.md, behind ``bench:cluster-``, → what stands there."""


def filled(page: str, tables: dict[str, str]) -> str:
    """Return the page with these tables; all others stay."""

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}{tables[found[2]]}\n{found[3]}" if found[2] in tables else found[0]

    return _PLACE.sub(table, page)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measured", type=Path, help="JSON of the cluster's benchmark")
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--page", type=Path, help="put the tables between the marks of this page")
    parser.add_argument("--seed", type=int, default=0)
    size = parser.add_argument_group("a size of your own, for the table `sizing`")
    size.add_argument("--items", type=int)
    size.add_argument("--minutes", type=float, default=60.0)
    size.add_argument("--latency", type=float, default=LATENCY_S, help="seconds of an answer")
    size.add_argument("--per-second", type=float, default=0.0, help="quota, requests")
    size.add_argument("--per-hour", type=int, default=0, help="quota, requests")
    size.add_argument("--items-per-request", type=int, default=1)
    size.add_argument("--concurrency", type=int, default=16, help="requests in flight of a batch")
    told = parser.parse_args()
    data = measured.read(told.measured) if told.measured else {}
    own = told.items and Work(
        told.items,
        latency_s=told.latency,
        per_second=told.per_second,
        per_hour=told.per_hour,
        items_per_request=told.items_per_request,
        concurrency=told.concurrency,
    )
    given = Given(
        measured.with_overhead(Cluster(), data),
        data,
        [(own, told.minutes)] if own else SIZES,
        told.seed,
    )
    tables = {}
    for name in told.only:
        tables[name] = TABLES[name](given)
        print(f"## {name}\n\n{tables[name]}\n", flush=True)
    if told.page:
        if not told.measured:
            tables.pop("simulated", None)
        told.page.write_text(filled(told.page.read_text("utf-8"), tables), "utf-8")


if __name__ == "__main__":
    main()
