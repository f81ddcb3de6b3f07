"""What bounds the time of a run, each resource by itself: the formula of docs/scaling.md.

    seconds = single tasks + max(cores, slots, quota, scheduler)

Each term is what the batches would take if nothing else took any time. Where one of them is far above
the others this is the time; near the point where two are equal it is too little, and the simulation
says how much.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from quota import HOUR

if TYPE_CHECKING:
    from parameters import Cluster, Work

SINGLE_TASKS = 6
"""Tasks of a run that follow each other and are not mapped; ``load`` is beside the last two."""


def single_tasks(cluster: Cluster, items: int) -> float:
    """Return the seconds of the tasks before and behind the batches, the pauses between them too."""
    between = cluster.pass_s + cluster.idle_sleep_s / (1 + cluster.schedulers)
    each = cluster.start_wait_s + cluster.task_cpu_s + cluster.serial_s + between
    item_s = cluster.read_item_s + cluster.consolidate_item_s + cluster.load_item_s
    return SINGLE_TASKS * each + items * item_s


def cores(cluster: Cluster, work: Work, run: int = 0) -> float:
    """Return the seconds that the work of the batches takes on all cores that they can use."""
    batches = work.batches(run)
    each = cluster.fetch_item_s + cluster.process_item_s
    seconds = 2 * len(batches) * cluster.task_cpu_s + sum(batches) * each
    used = min(cluster.all_cores or math.inf, cluster.places, len(batches))
    return seconds / used


def slots(cluster: Cluster, work: Work, run: int = 0) -> float:
    """Return the seconds that slots are held for, where each task has a core to itself."""
    batches = work.batches(run)
    at_once = min(cluster.places, len(batches), cluster.max_active_tasks)
    rounds = math.ceil(len(batches) / at_once)
    answers = math.ceil(work.requests(batches[0]) / work.concurrency) * work.latency_s
    fetch = max(answers, batches[0] * cluster.fetch_item_s)
    process = batches[0] * cluster.process_item_s
    return rounds * (2 * (cluster.start_wait_s + cluster.task_cpu_s) + fetch + process)


def quota(work: Work, run: int = 0) -> float:
    """Return the seconds that the source's quota asks for; a spent hour is waited for."""
    requests = sum(work.requests(items) for items in work.batches(run))
    paced = requests / work.per_second if work.per_second else 0.0
    if not work.per_hour:
        return paced
    hours, last = divmod(requests - 1, work.per_hour)
    rest = (last + 1) / work.per_second if work.per_second else 0.0
    return max(paced, hours * HOUR + rest)


def look(cluster: Cluster, batches: int) -> float:
    """Return the seconds of a pass over a run half of whose batches are fetched."""
    waiting = batches / 2
    return (
        cluster.pass_s
        + cluster.examine_s * (2 * batches + 7)
        + (cluster.wait_s + cluster.round_trip_s * cluster.wait_statements) * waiting
    )


def scheduler(cluster: Cluster, work: Work, run: int = 0) -> float:
    """Return the seconds in which the schedulers queue all batches, twice each.

    A scheduler alone cannot queue while it looks. Of two, one looks at the run and the other queues.
    """
    batches = len(work.batches(run))
    queued = 2 * batches * cluster.queue_s
    if cluster.schedulers > 1:
        return queued
    passes = math.ceil(batches / min(cluster.max_tis or math.inf, cluster.parallelism))
    return queued + passes * look(cluster, batches)


def bounds(cluster: Cluster, work: Work) -> dict[str, float]:
    """Return the seconds of one run by each resource."""
    return {
        "single tasks": single_tasks(cluster, work.run_items(0)),
        "cores": cores(cluster, work),
        "slots": slots(cluster, work),
        "quota": quota(work),
        "scheduler": scheduler(cluster, work),
    }


def seconds(cluster: Cluster, work: Work) -> float:
    """Return the seconds of one run by the formula."""
    found = bounds(cluster, work)
    return found.pop("single tasks") + max(found.values())
