"""What was measured, next to what the simulation says of the same runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from parameters import Cluster, Work
from simulation import simulate

if TYPE_CHECKING:
    from pathlib import Path

EMBEDDED = replace(
    Cluster(),
    workers=1,
    slots=6,
    cores=2.0,
    hosts=1,
    schedulers=1,
    parallelism=24,
    max_active_tasks=6,
    idle_sleep_s=0.2,
    round_trip_s=0.0,
)
"""The embedded stack of docs/performance.md: one machine, its settings, a database in a file."""
_LONG = re.compile(r"^\| ([\d,]+) \| ([\d,.]+) \| [\d.]+ \| \d+ \|", re.MULTILINE)
_CHECK = re.compile(
    r"^\| ([\d,]+) users, (\d+) × (\d+) in flight, (\d+) ms(?:, ([\d,.]+) requests/s)? "
    r"\| [\d.]+ \| ([\d.]+) \|",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A run as it was measured and as it is simulated, in seconds."""

    what: str
    measured: float
    simulated: float

    @property
    def error(self) -> float:
        """How much the simulation is too long, as a part of what was measured."""
        return self.simulated / self.measured - 1


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def on_page(page: str) -> list[Compared]:
    """Return the runs of docs/performance.md of the embedded stack, simulated."""
    runs = []
    for items, seconds in _LONG.findall(page):
        work = Work(int(_number(items)))
        runs.append((f"{items} items", _number(seconds), work))
    for items, batches, flight, latency, quota, seconds in _CHECK.findall(page):
        work = Work(
            int(_number(items)),
            batch_size=-(-int(_number(items)) // int(batches)),
            concurrency=int(flight),
            latency_s=int(latency) / 1000,
            per_second=_number(quota) if quota else 0.0,
        )
        more = f", {quota} requests/s" if quota else ""
        what = f"{items} items, {batches} × {flight} in flight, {latency} ms{more}"
        runs.append((what, _number(seconds), work))
    return [
        Compared(what, seconds, simulate(EMBEDDED, work).seconds) for what, seconds, work in runs
    ]


def read(path: Path) -> dict[str, Any]:
    """Return what a benchmark wrote.

    Raises:
        ValueError: It is no JSON object.
    """
    found = json.loads(path.read_text("utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object")  # noqa: TRY004 - the file is wrong
    return found


def with_overhead(cluster: Cluster, data: dict[str, Any]) -> Cluster:
    """Return the cluster with the parameters that were measured; other figures stay unused."""
    own = {each.name for each in fields(cluster)}
    overhead = data.get("overhead", {})
    return cluster.changed({name: value for name, value in overhead.items() if name in own})


def in_file(cluster: Cluster, data: dict[str, Any]) -> list[Compared]:
    """Return the rows of the cluster's benchmark, simulated.

    All workers ran on one machine, so they share its cores, and the schedulers take theirs from them.

    Args:
        cluster: What else there is.
        data: ``{"machine": {"cores": …}, "rows": [{"workers", "slots", "items", "latency_ms",
            "seconds"}, …]}``; ``batch_size``, ``concurrency`` and ``requests_per_second`` where they
            are not the default.
    """
    cores = data["machine"]["cores"]
    found = []
    for row in data["rows"]:
        these = cluster.changed(
            {"workers": row["workers"], "slots": row["slots"], "hosts": 1, "cores": cores}
        )
        work = Work(
            row["items"],
            batch_size=row.get("batch_size") or 0,
            concurrency=row.get("concurrency") or 16,
            latency_s=row.get("latency_ms", 0) / 1000,
            per_second=row.get("requests_per_second") or 0.0,
        )
        what = f"{row['workers']} × {row['slots']} slots, {row['items']:,} items"
        what += f", {row.get('latency_ms', 0):g} ms"
        found.append(Compared(what, row["seconds"], simulate(these, work).seconds))
    return found
