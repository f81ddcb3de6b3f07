"""The schedulers: loops that look at all that runs, and queue what is ready while there is room."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simpy import Resource

if TYPE_CHECKING:
    import random
    from collections.abc import Generator

    from parameters import Cluster
    from sharing import Shared
    from simpy import Environment, Event

RUNS_A_PASS = 20
"""Runs that one pass examines: Airflow's ``max_dagruns_per_loop_to_schedule``."""


@dataclass(slots=True)
class Task:
    """A task instance.

    Attributes:
        run: Number of its run.
        step: The task's name.
        weight: Its priority: itself and all tasks behind it, as Airflow weighs by default.
        items: Items that it handles.
        scheduler: The one that queued it.
    """

    run: int
    step: str
    weight: int
    items: int
    scheduler: int = -1


@dataclass(slots=True)
class Run:
    """What the schedulers know of a run, which is a DAG of its own.

    Attributes:
        instances: Its task instances, once they are mapped.
        waiting: Those of ``process`` whose ``fetch`` has not ended.
        unseen: Tasks that no look has found ready yet, each with the event of being queued.
        ready: Those that may be queued, the heaviest first.
        active: Those that are queued or running.
        looked_at: Whether a scheduler holds it at the moment.
    """

    instances: int = 7
    waiting: int = 0
    unseen: list[tuple[Task, Event]] = field(default_factory=list)
    ready: list[tuple[int, int, Task, Event]] = field(default_factory=list)
    active: int = 0
    looked_at: bool = False


class Schedulers:
    """All schedulers.

    Args:
        env: The simulation.
        cluster: How many they are, and what a pass costs.
        chance: Draws at which point of its loop a scheduler is when something happens.
        database: Takes their statements.
        cores: Of the machine that they share with the workers; None: they have their own.

    Attributes:
        busy: Seconds of work, of all schedulers together.
        locked: Seconds for which one of them held the critical section.
        passes: How often they went through their loop.
    """

    def __init__(
        self,
        env: Environment,
        cluster: Cluster,
        chance: random.Random,
        database: Shared,
        cores: Shared | None = None,
    ) -> None:
        self._env = env
        self._cluster = cluster
        self._chance = chance
        self._database = database
        self._cores = cores
        self._runs: dict[int, Run] = {}
        self._numbers = 0
        self._taken = [0] * cluster.schedulers
        self._news = env.event()
        self._section = Resource(env)
        self.busy = self.locked = 0.0
        self.passes = 0
        for number in range(cluster.schedulers):
            env.process(self._loop(number))

    def begin(self, run: int) -> Run:
        """Return a new run."""
        self._runs[run] = Run()
        return self._runs[run]

    def end(self, run: int) -> None:
        """Forget a run that is over."""
        del self._runs[run]

    def queue(self, task: Task) -> Event:
        """Return the event of the task, whose turn has come, being queued to the workers."""
        event = self._env.event()
        self._runs[task.run].unseen.append((task, event))
        self._tell()
        return event

    def release(self, task: Task) -> None:
        """Say that a task has left its slot: it has ended, or waits for a moment."""
        self._runs[task.run].active -= 1
        self._taken[task.scheduler] -= 1
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, self._env.event()
        news.succeed()

    def _loop(self, number: int) -> Generator[Event, None, None]:
        while True:
            news = self._news
            self.passes += 1
            yield from self._look()
            queued = yield from self._critical_section(number)
            if not queued:
                # Between passes it sleeps, and something happens at any point of that.
                yield news
                pause = self._cluster.idle_sleep_s
                yield self._env.timeout(self._chance.random() * pause)

    def _look(self) -> Generator[Event, None, None]:
        """Look at the runs that no other scheduler holds, and find what is ready."""
        cluster = self._cluster
        held = [run for run in self._runs.values() if not run.looked_at][:RUNS_A_PASS]
        seen = [(run, run.unseen) for run in held]
        for run in held:
            run.looked_at = True
            run.unseen = []
        waiting = sum(run.waiting for run in held)
        statements = cluster.wait_statements * waiting
        seconds = (
            cluster.pass_s
            + cluster.examine_s * sum(run.instances for run in held)
            + cluster.wait_s * waiting
            + cluster.round_trip_s * statements
        )
        yield self._work(seconds) & self._database.use(statements)
        for run, found in seen:
            run.looked_at = False
            for task, event in found:
                self._numbers += 1
                heapq.heappush(run.ready, (-task.weight, self._numbers, task, event))

    def _work(self, seconds: float) -> Event:
        self.busy += seconds
        return self._cores.use(seconds) if self._cores else self._env.timeout(seconds)

    def _critical_section(self, number: int) -> Generator[Event, None, int]:
        """Queue what there is room for, unless another scheduler is at it; return how many."""
        if self._section.count:
            return 0
        with self._section.request() as turn:
            yield turn
            chosen = self._choose(number)
            since = self._env.now
            yield self._work(self._cluster.queue_s * len(chosen))
            self.locked += self._env.now - since
        for task, queued in chosen:
            task.scheduler = number
            queued.succeed()
        return len(chosen)

    def _choose(self, number: int) -> list[tuple[Task, Event]]:
        """Take the heaviest tasks that are ready, the oldest first, as far as there is room."""
        cluster = self._cluster
        room = cluster.parallelism - self._taken[number]
        if cluster.max_tis:
            room = min(room, cluster.max_tis)
        chosen: list[tuple[Task, Event]] = []
        while len(chosen) < room:
            open_to = [
                run
                for run in self._runs.values()
                if run.ready and run.active < cluster.max_active_tasks
            ]
            if not open_to:
                break
            run = min(open_to, key=lambda each: each.ready[0][:2])
            _, _, task, queued = heapq.heappop(run.ready)
            run.active += 1
            chosen.append((task, queued))
        self._taken[number] += len(chosen)
        return chosen
