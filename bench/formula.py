"""How long a run takes on a cluster: the formula of docs/scaling.md.

    python bench/formula.py --items 1000000 --latency 0.2 [--workers 1 2 4 8 16]

    seconds = single tasks + max(cores, slots, quota, scheduler)

Each term is the time of the batches if nothing else took any. Near the point where two terms are equal
the result is too low; so it is where workers share their cores with the rest of Airflow.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace

from figures import table

from fanfold.stages.planning import batch_size_for

SINGLE_TASKS = 6
"""Tasks of a run that run one after the other and are not mapped; ``load`` runs beside the last two."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster and the costs of its parts, in seconds unless a name says otherwise.

    docs/scaling.md lists where each default comes from.

    Attributes:
        workers: Celery workers, or pods that run at once.
        slots: Tasks that a worker runs at once.
        cores: Cores of a worker; with ``hosts``, of a host.
        hosts: Machines that the workers share evenly; 0: each worker has its own cores.
        schedulers: Schedulers.
        parallelism: Most tasks that one scheduler has queued or running.
        max_active_tasks: The same for one DAG.
        max_tis: Most tasks that one pass of a scheduler queues; 0: as many as are free.
        idle_sleep_s: Pause of a scheduler that found nothing to do.
        pass_s: A pass over no task instances.
        examine_s: Added to a pass by each task instance.
        wait_s: Added to a pass by each ``process`` whose ``fetch`` has not ended.
        queue_s: Each task that a pass queues; schedulers take turns at that.
        start_wait_s: From the slot to the first instruction: nothing in a worker, the start of a pod.
        task_cpu_s: Core seconds of an empty task.
        serial_s: Core seconds of a task that is not mapped, without its items.
        read_item_s: Core seconds of ``read_items`` and ``plan`` for each item.
        fetch_item_s: The same for ``fetch``.
        process_item_s: The same for ``process``.
        consolidate_item_s: The same for ``consolidate``.
        load_item_s: The same for ``load``.
        wait_statements: SQL statements of a pass for each ``process`` that waits.
        round_trip_s: Network time of each of them.
    """

    workers: int = 2
    slots: int = 8
    cores: float = 4.0
    hosts: int = 0
    schedulers: int = 2
    parallelism: int = 32
    max_active_tasks: int = 32
    max_tis: int = 0
    idle_sleep_s: float = 0.5
    pass_s: float = 0.02
    examine_s: float = 0.256e-3
    wait_s: float = 3.24e-3
    queue_s: float = 1.53e-3
    start_wait_s: float = 0.0
    task_cpu_s: float = 0.26
    serial_s: float = 0.3
    read_item_s: float = 2.2e-6
    fetch_item_s: float = 0.604e-3
    process_item_s: float = 0.151e-3
    consolidate_item_s: float = 30.8e-6
    load_item_s: float = 21.9e-6
    wait_statements: float = 4.0
    round_trip_s: float = 0.3e-3

    def with_workers(self, workers: int) -> Cluster:
        """Return the cluster with N workers, and limits of one and a half times its slots.

        Tasks that wait in the queue start as soon as a slot is free, without another pass.
        """
        enough = math.ceil(1.5 * workers * self.slots)
        return replace(
            self,
            workers=workers,
            parallelism=max(self.parallelism, enough),
            max_active_tasks=max(self.max_active_tasks, enough),
        )


@dataclass(frozen=True, slots=True)
class Work:
    """A run, and the limits of its source.

    Attributes:
        items: Items of the run.
        batch_size: Items of a batch; 0: as chosen by ``plan``.
        concurrency: Requests in flight of one batch.
        latency_s: Seconds of a response.
        items_per_request: Items of one request.
        per_second: Quota, requests a second; 0: none.
        per_hour: Quota, requests an hour; 0: none.
    """

    items: int
    batch_size: int = 0
    concurrency: int = 16
    latency_s: float = 0.0
    items_per_request: int = 1
    per_second: float = 0.0
    per_hour: int = 0

    @property
    def size(self) -> int:
        """Items of the largest batch."""
        return min(self.items, batch_size_for(self.items, self.batch_size or None))

    @property
    def batches(self) -> int:
        """Number of batches."""
        return math.ceil(self.items / self.size)


def single_tasks(cluster: Cluster, items: int) -> float:
    """Return the seconds of the tasks before and after the batches, pauses between them included."""
    pause = cluster.pass_s + cluster.idle_sleep_s / (1 + cluster.schedulers)
    each = cluster.start_wait_s + cluster.task_cpu_s + cluster.serial_s + pause
    item_s = cluster.read_item_s + cluster.consolidate_item_s + cluster.load_item_s
    return SINGLE_TASKS * each + items * item_s


def cores(cluster: Cluster, work: Work) -> float:
    """Return the seconds of the batches' CPU time on all cores that they can use."""
    item_s = cluster.fetch_item_s + cluster.process_item_s
    seconds = 2 * work.batches * cluster.task_cpu_s + work.items * item_s
    available = cluster.cores * (cluster.hosts or cluster.workers)
    return seconds / min(available, cluster.workers * cluster.slots, work.batches)


def slots(cluster: Cluster, work: Work) -> float:
    """Return the seconds for which slots are occupied, with a core for each task."""
    places = min(cluster.workers * cluster.slots, work.batches, cluster.max_active_tasks)
    requests = math.ceil(work.size / work.items_per_request)
    latency = math.ceil(requests / work.concurrency) * work.latency_s
    fetch = max(latency, work.size * cluster.fetch_item_s)
    process = work.size * cluster.process_item_s
    tasks = 2 * (cluster.start_wait_s + cluster.task_cpu_s)
    return math.ceil(work.batches / places) * (tasks + fetch + process)


def quota(work: Work) -> float:
    """Return the seconds that the quota requires; an exhausted hour is waited for."""
    whole, rest = divmod(work.items, work.size)
    requests = whole * math.ceil(work.size / work.items_per_request)
    requests += math.ceil(rest / work.items_per_request)
    paced = requests / work.per_second if work.per_second else 0.0
    if not work.per_hour:
        return paced
    hours, last = divmod(requests - 1, work.per_hour)
    return max(paced, hours * 3600 + ((last + 1) / work.per_second if work.per_second else 0.0))


def scheduler(cluster: Cluster, work: Work) -> float:
    """Return the seconds in which the schedulers queue all batches, twice each.

    A single scheduler cannot queue during a pass; of two, one looks at the run and the other queues.
    """
    queued = 2 * work.batches * cluster.queue_s
    if cluster.schedulers > 1:
        return queued
    one_pass = cluster.pass_s + cluster.examine_s * (2 * work.batches + SINGLE_TASKS + 1)
    waiting_s = cluster.wait_s + cluster.round_trip_s * cluster.wait_statements
    passes = math.ceil(work.batches / min(cluster.max_tis or math.inf, cluster.parallelism))
    return queued + passes * (one_pass + waiting_s * work.batches / 2)


def bounds(cluster: Cluster, work: Work) -> dict[str, float]:
    """Return the seconds of a run for each resource of the ``max`` term."""
    return {
        "cores": cores(cluster, work),
        "slots": slots(cluster, work),
        "quota": quota(work),
        "scheduler": scheduler(cluster, work),
    }


def seconds(cluster: Cluster, work: Work) -> float:
    """Return the seconds of a run."""
    return single_tasks(cluster, work.items) + max(bounds(cluster, work).values())


def main() -> None:
    """Print the time of a run by number of workers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--latency", type=float, default=0.2, help="seconds of a response")
    parser.add_argument("--concurrency", type=int, default=16, help="requests in flight of a batch")
    parser.add_argument("--items-per-request", type=int, default=1)
    parser.add_argument("--per-second", type=float, default=0.0, help="quota, requests")
    parser.add_argument("--per-hour", type=int, default=0, help="quota, requests")
    given = parser.parse_args()
    work = Work(
        given.items,
        concurrency=given.concurrency,
        latency_s=given.latency,
        items_per_request=given.items_per_request,
        per_second=given.per_second,
        per_hour=given.per_hour,
    )
    rows = []
    for count in given.workers:
        cluster = Cluster().with_workers(count)
        found = {"single tasks": single_tasks(cluster, work.items), **bounds(cluster, work)}
        shares = [f"{each:,.1f}" for each in found.values()]
        most = max(found, key=found.__getitem__)
        rows.append([str(count), f"{seconds(cluster, work):,.1f}", most, *shares])
    print(table(["workers", "seconds", "bound by", *found], rows))


if __name__ == "__main__":
    main()
