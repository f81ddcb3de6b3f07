"""A model of a run's time with four constants, each measured, and its check on other runs.

    seconds = fixed_s + fold_s · items                       all tasks but the batches
            + batch_s · batches / busy                       what a batch costs without its items
            + max( item_s · items / busy,                    the processors' work
                   rounds · batch_size / concurrency · latency,   waiting for answers
                   items / requests_per_second )             the quota

    busy = min(workers, batches, cores), rounds = ⌈batches / min(workers, batches)⌉

``workers`` is how many tasks run at once. ``item_s`` and ``batch_s`` are seconds of one core.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dagruns import PIPELINE, Phases, run_dag
from measuring import Failed

from fanfold.errors import FanfoldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ground import Ground
    from results import Results


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides how long a run takes.

    Attributes:
        items: Users.
        batches: Batches that they are cut into.
        concurrency: Requests in flight of one batch.
        workers: Tasks that run at once.
        cores: Of the machine.
        latency_s: Seconds that an answer takes.
        requests_per_second: The quota, or None.
    """

    items: int
    batches: int
    concurrency: int
    workers: int
    cores: int
    latency_s: float = 0.0
    requests_per_second: float | None = None

    @property
    def busy(self) -> int:
        """Cores that the batches keep busy."""
        return min(self.workers, self.batches, self.cores)

    @property
    def batch_size(self) -> int:
        """Items of a batch."""
        return math.ceil(self.items / self.batches)


@dataclass(frozen=True, slots=True)
class Constants:
    """The four constants, in seconds."""

    fixed_s: float
    fold_s: float
    batch_s: float
    item_s: float


def predict(constants: Constants, shape: Shape) -> float:
    """Return the seconds that a run takes."""
    rounds = math.ceil(shape.batches / min(shape.workers, shape.batches))
    work = constants.item_s * shape.items / shape.busy
    waiting = rounds * shape.batch_size / shape.concurrency * shape.latency_s
    quota = shape.items / (shape.requests_per_second or math.inf)
    return (
        constants.fixed_s
        + constants.fold_s * shape.items
        + constants.batch_s * shape.batches / shape.busy
        + max(work, waiting, quota)
    )


def fit(runs: Sequence[tuple[Shape, Phases]]) -> Constants:
    """Return the constants that fit runs without latency and quota best (least squares)."""
    import numpy as np

    # The serial tasks: a line over the items. The batches: a plane over batches and items.
    items = np.array([shape.items for shape, _ in runs], dtype=float)
    serial = np.array([phases.before + phases.after for _, phases in runs])
    (fixed_s, fold_s), *_ = np.linalg.lstsq(np.stack([np.ones_like(items), items], 1), serial)
    batches = np.array([shape.batches for shape, _ in runs], dtype=float)
    work = np.array([phases.batches * shape.busy for shape, phases in runs])
    (batch_s, item_s), *_ = np.linalg.lstsq(np.stack([batches, items], 1), work)
    return Constants(*(max(0.0, float(each)) for each in (fixed_s, fold_s, batch_s, item_s)))


FITTED = ((200, 2), (2_000, 2), (10_000, 8), (10_000, 40))
"""Items and batches of the runs that the constants come from: no latency, no quota."""
CHECKED: tuple[dict[str, Any], ...] = (
    {"items": 5_000, "batches": 4, "concurrency": 25, "latency_s": 0.05},
    {"items": 4_000, "batches": 4, "concurrency": 16, "requests_per_second": 250.0},
    {"items": 5_000, "batches": 1, "concurrency": 16},
)
"""Runs that the constants do not come from: latency, quota, a single worker."""


def measure_model(ground: Ground, results: Results, rounds: int) -> None:
    """Measure the constants, then compare predictions with runs that they do not come from."""
    results.forget("model")
    cores = results.data["machine"]["cores"]
    fitted = []
    for items, batches in FITTED:
        shape = Shape(items, batches, 16, ground.slots(), cores)
        for _ in range(rounds):
            taken = _run(ground, results, "fitted", shape)
            if taken:
                fitted.append((shape, taken[1]))
    if len({shape for shape, _ in fitted}) < 3:
        results.keep("model", "failed", "fewer than three of the runs to fit were measured")
        return
    constants = fit(fitted)
    results.keep("model", "constants", asdict(constants))
    print(f"  {constants}", flush=True)
    checks = []
    for facts in CHECKED:
        shape = Shape(workers=ground.slots(), cores=cores, **facts)
        taken = _run(ground, results, "checked", shape)
        if taken:
            predicted = predict(constants, shape)
            checks.append({**asdict(shape), "predicted": predicted, "measured": taken[0]})
            print(f"  predicted {predicted:.1f} s, measured {taken[0]:.1f} s", flush=True)
    results.keep("model", "checks", checks)


def _run(ground: Ground, results: Results, part: str, shape: Shape) -> tuple[float, Phases] | None:
    conf = {
        "items_uri": ground.users(shape.items).as_uri(),
        "batch_size": shape.batch_size,
        "concurrency": shape.concurrency,
        "requests_per_second": shape.requests_per_second,
    }
    try:
        done = run_dag(ground, PIPELINE, conf, items=shape.items, latency_ms=1000 * shape.latency_s)
    except (Failed, FanfoldError) as error:
        results.keep("model", f"failed {part} {shape.items}/{shape.batches}", str(error)[:300])
        print(f"  {shape}: FAILED: {error}", flush=True)
        return None
    if done.phases is None:
        return None
    print(f"  {shape.items} items, {shape.batches} batches: {done.phases}", flush=True)
    return done.usage.seconds, done.phases
