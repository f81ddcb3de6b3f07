"""A simulation of runs on a cluster, event by event: schedulers, slots, cores, quota, database, disk.

    runs ─► preflight ─► read_items ─► plan ─► batches: fetch ─► process ─► consolidate
                                                          publish ─► report, load beside them ◄─┘

What is simulated is a task, never an item: a day of 100 million items is some 80,000 tasks. Where
several use one thing at once (cores, the database, the file system, the rate of requests) they share
it evenly. The same seed gives the same result.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import TYPE_CHECKING

from fleet import Fleet
from passes import Run, Schedulers, Task
from quota import HOUR, Hourly
from sharing import Shared
from simpy import Environment, Resource
from simulated import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from parameters import Cluster, Work
    from simpy import Event

    Body = Callable[[Task, Shared], Generator[Event, None, float]]

STEPS = (
    *("preflight", "read_items", "plan", "fetch", "process"),
    *("consolidate", "publish", "load", "report"),
)
DOWNSTREAM = dict(zip(STEPS, (9, 8, 7, 6, 5, 4, 2, 1, 1), strict=True))
"""Priority of each task by Airflow's default rule: itself and all tasks behind it."""
UPSTREAM = dict(zip(STEPS, (1, 2, 3, 4, 5, 6, 7, 7, 8), strict=True))
"""The same by the other rule: itself and all tasks before it."""


class Simulation:
    """One day.

    Args:
        cluster: What it runs on.
        work: What is to be done.
        seed: Of everything that is drawn.
    """

    def __init__(self, cluster: Cluster, work: Work, seed: int = 0) -> None:
        self.env = Environment()
        self.cluster = cluster
        self.work = work
        self.fleet = Fleet(self.env, cluster)
        self.database = Shared(self.env, cluster.statements_per_s or math.inf)
        self.schedulers = Schedulers(
            self.env,
            cluster,
            # The order of draws is that of the events, which is always the same.
            random.Random(seed),
            self.database,
            self.fleet.cores_of(0) if cluster.hosts else None,
        )
        self.disk = Shared(self.env, 1.0)
        self.pace = Shared(self.env, work.per_second or math.inf)
        self.hourly = Hourly(self.env, work.per_hour)
        self.table = Resource(self.env)
        self.table_held = 0.0
        self.done: Counter[tuple[str, int, int]] = Counter()
        self.fetched = self.requests = self.tries = self.deferrals = 0
        self.written = 0.0
        self.runs: list[tuple[float, float]] = []
        self.weights = UPSTREAM if work.finish_first else DOWNSTREAM
        self.bodies: dict[str, Body] = {
            "fetch": self._fetch,
            "process": self._process,
            "load": self._load,
        }

    def run(self) -> Outcome:
        """Simulate until every run has ended."""
        ends = [self.env.event() for _ in range(self.work.shards)]
        for number in range(self.work.shards):
            after = ends[number - 1] if self.work.in_turn and number else None
            self.env.process(self._run(number, after, ends[number]))
        self.env.run(self.env.all_of(ends))
        seconds = max(end for _, end in self.runs) - min(start for start, _ in self.runs)
        return Outcome(
            seconds,
            tuple(sorted(self.runs)),
            self._use(seconds),
            self.done,
            self.fetched,
            self.requests,
            self.tries,
            self.deferrals,
            self.hourly,
            self.database.done,
            self.written,
        )

    def _use(self, seconds: float) -> dict[str, float]:
        time = seconds or math.inf
        cluster, work = self.cluster, self.work
        allowed = min(work.per_second or math.inf, (work.per_hour or math.inf) / HOUR)
        return {
            "slots": self.fleet.held / cluster.places / time,
            "cores": self.fleet.core_seconds / (cluster.all_cores or math.inf) / time,
            "scheduler": self.schedulers.busy / cluster.schedulers / time,
            "critical section": self.schedulers.locked / time,
            "database": self.database.done / self.database.capacity / time,
            "shared directory": self.disk.done / time,
            "quota": self.requests / allowed / time,
            "table": self.table_held / time,
        }

    def _run(self, run: int, after: Event | None, end: Event) -> Generator[Event, None, None]:
        yield self.env.timeout(self.work.every_s * run)
        if after is not None:
            yield after
        start = self.env.now
        items, batches = self.work.run_items(run), self.work.batches(run)
        known = self.schedulers.begin(run)
        for step in ("preflight", "read_items", "plan"):
            yield from self._do(self._task(run, step, items))
        known.instances += 2 * len(batches)
        known.waiting = len(batches)
        yield self.env.all_of(
            [
                self.env.process(self._batch(known, run, number, size))
                for number, size in enumerate(batches)
            ]
        )
        yield from self._do(self._task(run, "consolidate", items))
        load = self.env.process(self._do(self._task(run, "load", items)))
        for step in ("publish", "report"):
            yield from self._do(self._task(run, step, items))
        yield load
        self.schedulers.end(run)
        self.runs.append((start, self.env.now))
        end.succeed()

    def _batch(self, known: Run, run: int, batch: int, items: int) -> Generator[Event, None, None]:
        yield from self._do(self._task(run, "fetch", items), batch)
        known.waiting -= 1
        yield from self._do(self._task(run, "process", items), batch)

    def _task(self, run: int, step: str, items: int) -> Task:
        return Task(run, step, self.weights[step], items)

    def _do(self, task: Task, batch: int = -1) -> Generator[Event, None, None]:
        """Bring a task through scheduler, queue and slot, as often as it is deferred."""
        body = self.bodies.get(task.step, self._single)
        while True:
            yield self.schedulers.queue(task)
            worker: int = yield self.fleet.slot()
            since = self.env.now
            self.tries += 1
            cores = self.fleet.cores_of(worker)
            if self.cluster.start_wait_s:
                yield self.env.timeout(self.cluster.start_wait_s)
            start = cores.use(self.cluster.task_cpu_s)
            yield start & self.database.use(self.cluster.task_statements)
            wait = yield from body(task, cores)
            self.fleet.give_back(worker, since)
            self.schedulers.release(task)
            if not wait:
                self.done[task.step, task.run, batch] += 1
                return
            self.deferrals += 1
            yield self.env.timeout(wait + self.cluster.trigger_s)

    def _fetch(self, task: Task, cores: Shared) -> Generator[Event, None, float]:
        """Fetch what is left of a batch; return for how long it is deferred, or 0."""
        work, each = self.work, self.work.items_per_request
        while task.items:
            count = self.hourly.largest(work.requests(task.items))
            wait = self.hourly.wait(count)
            if wait > self.cluster.defer_after_s:
                return wait
            if wait:
                yield self.env.timeout(wait)
                continue
            items = min(task.items, count * each)
            leave = self.hourly.take(count)
            parts = [cores.use(items * self.cluster.fetch_item_s)]
            if work.latency_s:
                rounds = math.ceil(count / work.concurrency)
                parts.append(self.env.timeout(rounds * work.latency_s))
            if work.per_second:
                parts.append(self.pace.use(count))
            yield self.env.all_of(parts)
            self.hourly.end(leave)
            self.requests += count
            self.fetched += items
            task.items -= items
        return 0.0

    def _process(self, task: Task, cores: Shared) -> Generator[Event, None, float]:
        yield from self._keep(task)
        yield cores.use(task.items * self.cluster.process_item_s)
        return 0.0

    def _keep(self, task: Task) -> Generator[Event, None, None]:
        """Write the files of a batch, those of its fetch too."""
        size = task.items * self.cluster.bytes_per_item
        seconds = size / (self.cluster.bytes_per_s or math.inf)
        seconds += self.cluster.files_per_batch / (self.cluster.files_per_s or math.inf)
        self.written += size
        yield self.disk.use(seconds)

    def _single(self, task: Task, cores: Shared) -> Generator[Event, None, float]:
        """Work at all items of a run in one task."""
        each = {
            "read_items": self.cluster.read_item_s / 2,
            "plan": self.cluster.read_item_s / 2,
            "consolidate": self.cluster.consolidate_item_s,
        }
        yield cores.use(self.cluster.serial_s + task.items * each.get(task.step, 0.0))
        return 0.0

    def _load(self, task: Task, cores: Shared) -> Generator[Event, None, float]:
        yield cores.use(self.cluster.serial_s)
        with self.table.request() as turn:
            yield turn
            since = self.env.now
            yield cores.use(task.items * self.cluster.load_item_s)
            self.table_held += self.env.now - since
        return 0.0


def simulate(cluster: Cluster, work: Work, seed: int = 0) -> Outcome:
    """Return what comes of the work on the cluster."""
    return Simulation(cluster, work, seed).run()
