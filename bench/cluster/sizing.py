"""Answers from the simulation: how many workers, what a day takes, and what it depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analytic import bounds, slots
from simulation import simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parameters import Cluster, Work
    from simulated import Outcome

MOST_WORKERS = 64
RESERVE = 0.1
"""Part of a day's window that is left free: for repeats, and for what comes late."""
UNCERTAIN = (
    *("latency_s", "fetch_item_s", "process_item_s", "task_cpu_s", "consolidate_item_s"),
    *("load_item_s", "wait_s", "statements_per_s", "files_per_s"),
)
"""What the plan of a day is asked again with, half as bad again: seconds longer, rates lower."""


def with_workers(cluster: Cluster, workers: int) -> Cluster:
    """Return the cluster with so many workers, and settings that let one scheduler fill them.

    Half as many tasks again as there are slots: what waits in the queue begins at once where a slot
    is given back, without a scheduler's next pass.
    """
    enough = math.ceil(1.5 * workers * cluster.slots)
    return replace(
        cluster,
        workers=workers,
        parallelism=max(cluster.parallelism, enough),
        max_active_tasks=max(cluster.max_active_tasks, enough),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """How many workers are enough.

    Attributes:
        workers: So many; None: no number is.
        outcome: What comes of them.
        why: What stands in the way, where no number is enough.
    """

    workers: int | None
    outcome: Outcome | None
    why: str = ""


def smallest(
    cluster: Cluster,
    work: Work,
    seconds: float,
    longest: float = math.inf,
    seed: int = 0,
) -> Answer:
    """Return the smallest number of workers that brings all runs to their end in time.

    Args:
        cluster: What else there is.
        work: What is to be done.
        seconds: For all of it.
        longest: For each run.
        seed: Of the simulation.
    """
    tried: dict[int, Outcome] = {}
    if hopeless := _hopeless(cluster, work, seconds):
        return Answer(None, None, hopeless)

    def enough(workers: int) -> bool:
        tried[workers] = outcome = simulate(with_workers(cluster, workers), work, seed)
        return outcome.seconds <= seconds and outcome.longest <= longest

    workers = step = least_workers(cluster, work, seconds)
    if enough(workers):
        while workers > 1 and enough(workers - 1):
            workers -= 1
        return Answer(workers, tried[workers])
    low = workers
    while not enough(workers := min(MOST_WORKERS, low + step)):
        if workers == MOST_WORKERS:
            most = tried[workers]
            why = f"{most.bottleneck}: {most.seconds:,.0f} s with {MOST_WORKERS} workers"
            return Answer(None, None, why)
        low = workers
    while workers - low > 1:
        middle = (low + workers) // 2
        low, workers = (low, middle) if enough(middle) else (middle, workers)
    return Answer(workers, tried[workers])


def least_workers(cluster: Cluster, work: Work, seconds: float) -> int:
    """Return the workers whose slots would just hold all batches, with nothing in the way."""
    one = replace(cluster, workers=1, slots=1, hosts=0, max_active_tasks=1)
    held = sum(slots(one, work, run) for run in range(work.shards))
    return max(1, min(MOST_WORKERS, math.ceil(held / seconds / cluster.slots)))


def _hopeless(cluster: Cluster, work: Work, seconds: float) -> str:
    """Return what takes too long whatever the number of workers is, as far as a formula knows."""
    found = bounds(with_workers(cluster, MOST_WORKERS), work)
    if found["quota"] * work.shards > seconds:
        return f"quota: its requests alone take {found['quota'] * work.shards:,.0f} s"
    if found["single tasks"] > seconds:
        return f"single tasks: they alone take {found['single tasks']:,.0f} s"
    return ""


def day(work: Work, window_s: float) -> Work:
    """Return the work with its runs beginning evenly over a window, but for the reserve."""
    return replace(work, every_s=window_s * (1 - RESERVE) / work.shards)


def first_runs(work: Work, runs: int) -> Work:
    """Return the first runs of a day: what is too slow for it falls behind within a few."""
    return replace(work, items=work.items * runs // work.shards, shards=runs)


def for_a_day(cluster: Cluster, work: Work, longest: float, seed: int = 0) -> Answer:
    """Return the smallest number of workers with which no run of a day takes too long.

    The first runs find it, since what is too slow falls behind within a few; the whole day confirms
    it, or has a worker more.
    """
    begin = first_runs(work, min(work.shards, 8))
    answer = smallest(cluster, begin, begin.shards * work.every_s + longest, longest, seed)
    workers = answer.workers
    while workers is not None and workers <= MOST_WORKERS:
        outcome = simulate(with_workers(cluster, workers), work, seed)
        if outcome.longest <= longest:
            return Answer(workers, outcome)
        workers += 1
    return answer


@dataclass(frozen=True, slots=True)
class Change:
    """The plan with one parameter changed.

    Attributes:
        name: The parameter.
        value: What it is then.
        outcome: What comes of the first runs.
    """

    name: str
    value: float
    outcome: Outcome


def sensitivity(cluster: Cluster, work: Work, seed: int = 0) -> Iterator[Change]:
    """Yield what some runs come to where one parameter is half as bad again, for each uncertain one."""
    for name in UNCERTAIN:
        factor = 1 / 1.5 if name.endswith("_per_s") else 1.5
        of_work = hasattr(work, name)
        value = factor * getattr(work if of_work else cluster, name)
        changed = {name: value}
        if of_work:
            yield Change(name, value, simulate(cluster, replace(work, **changed), seed))
        else:
            yield Change(name, value, simulate(cluster.changed(changed), work, seed))
