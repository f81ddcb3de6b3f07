"""What the simulation is told: a cluster, what its parts cost, and the work of a day.

Each default says in its metadata where it comes from: a table of docs/performance.md, a file of this
repository, or that nobody has measured it (``assumed``). A JSON file may replace any of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from fanfold.stages.planning import batch_size_for

if TYPE_CHECKING:
    from collections.abc import Mapping

ASSUMED: Final = "assumed"
_MILLION: Final = "performance.md, A million users"
_MODEL: Final = "performance.md, A model"
_SPLIT: Final = ", divided as fetch and process of A million users are"
_SETTINGS: Final = "config/cluster.env"
_SCHEDULING: Final = "bench/cluster/scheduling.py"


def _given(default: float, source: str) -> Any:
    """Return a field with the place that its default comes from."""
    return field(default=default, metadata={"from": source})


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, and what its parts cost. Seconds, unless a name says otherwise.

    Attributes:
        workers: Celery workers, or pods that run at once.
        slots: Tasks that a worker runs at once.
        cores: Of a worker; where ``hosts`` is given, of a host.
        hosts: Machines that the workers share evenly; 0: each worker is alone on its cores.
        schedulers: Schedulers.
        parallelism: Tasks that one scheduler has queued or running, at most.
        max_active_tasks: The same for one DAG.
        max_tis: Tasks that one pass queues, at most; 0: as many as are free.
        idle_sleep_s: Pause of a scheduler that found nothing to do.
        pass_s: A pass that looks at nothing.
        examine_s: Of a pass, for each task instance of a run that it looks at.
        wait_s: More, for each ``process`` there whose ``fetch`` has not ended.
        queue_s: For each task that a pass queues; schedulers take turns at that.
        start_wait_s: From the slot to the first instruction: nothing in a worker, a pod's start.
        task_cpu_s: Core seconds of a task that does nothing.
        serial_s: Core seconds of a task that is not mapped, without its items.
        read_item_s: Core seconds of ``read_items`` and ``plan``, for each item.
        fetch_item_s: The same of ``fetch``.
        process_item_s: The same of ``process``.
        consolidate_item_s: The same of ``consolidate``, which is one task.
        load_item_s: The same of ``load``; one load at a time holds the table.
        task_statements: Statements to the database of one try of a task, from scheduled to ended.
        wait_statements: Statements of a pass for each ``process`` that waits, one after the other.
        round_trip_s: What each of those takes longer than in a database on the same machine.
        statements_per_s: Statements that the database takes.
        bytes_per_item: What an item leaves in the workspace.
        bytes_per_s: What the shared file system takes and gives.
        files_per_batch: Files that a batch leaves there.
        files_per_s: Files that it makes: a name, a flush and a rename each.
        defer_after_s: A quota's wait for which a fetch keeps its slot.
        trigger_s: From the moment that a deferred task waits for until it may be queued again.
    """

    workers: int = _given(2, "docker-compose.yaml, scale")
    slots: int = _given(8, _SETTINGS + ", WORKER_CONCURRENCY")
    cores: float = _given(4.0, "config/cluster.env: a worker with four")
    hosts: int = _given(0, "docker-compose.yaml: a limit for each container")
    schedulers: int = _given(2, "docker-compose.yaml, scale")
    parallelism: int = _given(32, _SETTINGS + ", PARALLELISM")
    max_active_tasks: int = _given(32, _SETTINGS + ", MAX_ACTIVE_TASKS_PER_DAG")
    max_tis: int = _given(0, _SETTINGS + ", MAX_TIS_PER_QUERY")
    idle_sleep_s: float = _given(0.5, _SETTINGS + ", SCHEDULER_IDLE_SLEEP_TIME")
    pass_s: float = _given(0.02, ASSUMED)
    examine_s: float = _given(0.256e-3, _SCHEDULING)
    wait_s: float = _given(3.24e-3, _SCHEDULING)
    queue_s: float = _given(1.53e-3, _SCHEDULING)
    start_wait_s: float = _given(0.0, "tasks fork from the worker")
    task_cpu_s: float = _given(0.26, _MODEL + ": half of batch_s")
    serial_s: float = _given(0.3, _MODEL + ": fixed_s of six tasks, less task_cpu_s and the gaps")
    read_item_s: float = _given(2.2e-6, "performance.md, Ten million ids")
    fetch_item_s: float = _given(0.604e-3, _MODEL + ": item_s" + _SPLIT)
    process_item_s: float = _given(0.151e-3, _MODEL + ": item_s" + _SPLIT)
    consolidate_item_s: float = _given(30.8e-6, _MILLION + ": consolidate")
    load_item_s: float = _given(21.9e-6, _MILLION + ": load")
    task_statements: float = _given(60.0, ASSUMED)
    wait_statements: float = _given(4.0, _SCHEDULING + ", counted")
    round_trip_s: float = _given(0.3e-3, ASSUMED)
    statements_per_s: float = _given(5000.0, ASSUMED)
    bytes_per_item: float = _given(617.0, _MILLION + ": workspace")
    bytes_per_s: float = _given(100e6, ASSUMED)
    files_per_batch: float = _given(14.0, _MILLION + ": files")
    files_per_s: float = _given(300.0, ASSUMED)
    defer_after_s: float = _given(60.0, "FANFOLD_DEFER_AFTER")
    trigger_s: float = _given(2.0, ASSUMED)

    def changed(self, values: Mapping[str, Any]) -> Cluster:
        """Return it with other values.

        Raises:
            ValueError: A name is none of its own, or a value is no number from 0 on.
        """
        own = {each.name: each for each in fields(self)}
        unknown = sorted(set(values) - set(own))
        if unknown:
            raise ValueError(f"no parameters of the simulation: {', '.join(unknown)}")
        for name, value in values.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; it must be a number from 0 on")
        whole = {name for name, each in own.items() if each.type == "int"}
        return replace(
            self, **{name: int(v) if name in whole else float(v) for name, v in values.items()}
        )

    @property
    def places(self) -> int:
        """Slots of all workers."""
        return self.workers * self.slots

    @property
    def all_cores(self) -> float:
        """Cores of all workers."""
        return self.cores * (self.hosts or self.workers)


@dataclass(frozen=True, slots=True)
class Work:
    """The items of a day, and what the source allows.

    Attributes:
        items: Of all runs together.
        shards: Runs that they are cut into.
        every_s: Seconds from the start of one run to that of the next.
        batch_size: Items of a batch; 0: as ``plan`` chooses.
        concurrency: Requests in flight of one batch.
        latency_s: Seconds that an answer takes.
        items_per_request: Items that one request asks for.
        per_second: Requests a second, of all runs together; 0: no such quota.
        per_hour: The same in any hour.
        in_turn: Whether a run waits for the one before it, as those of one DAG do.
        finish_first: Whether late tasks go before early ones (``weight_rule="upstream"``), so that
            a run which is nearly done is not kept waiting by one that begins.
    """

    items: int
    shards: int = 1
    every_s: float = 0.0
    batch_size: int = 0
    concurrency: int = 16
    latency_s: float = 0.0
    items_per_request: int = 1
    per_second: float = 0.0
    per_hour: int = 0
    in_turn: bool = False
    finish_first: bool = False

    def run_items(self, run: int) -> int:
        """Return the items of one run; the first ones take what does not divide evenly."""
        even, rest = divmod(self.items, self.shards)
        return even + (run < rest)

    def batches(self, run: int) -> list[int]:
        """Return the items of each batch of a run."""
        items = self.run_items(run)
        size = batch_size_for(items, self.batch_size or None)
        whole, rest = divmod(items, size)
        return [size] * whole + [rest] * (rest > 0)

    def requests(self, items: int) -> int:
        """Return the requests that so many items of one batch need."""
        return math.ceil(items / self.items_per_request)


def sources() -> dict[str, tuple[float, str]]:
    """Return each parameter of a cluster with its default and where that comes from."""
    return {each.name: (each.default, each.metadata["from"]) for each in fields(Cluster)}  # type: ignore[misc]
