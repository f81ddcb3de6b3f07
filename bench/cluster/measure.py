"""What workers bring: the cluster of docker-compose.yaml with 1, 2 and 4, and the embedded stack beside.

    python bench/cluster/measure.py [--items 6000] [--workers 1 2 4] [--rounds 2] [--json FILE]

Starts a cluster of its own (Docker, root; the images are built, and stood in for where they cannot be
pulled: tests/cluster/images.py), runs the same users through each number of workers in turn, and
prints seconds, items a second and CPU seconds per 1,000 items, as medians and as ratios. CPU is that of
all of Airflow's containers with Postgres and Redis, as the kernel counts it for each container; the
simulator and the S3 server are left out. Answers take 50 ms and few requests are in flight, so that
what bounds a run is the waiting, as with an API far away, and not the cores of one machine.

The embedded stack then runs the same items in as many slots as the smallest cluster has, with the
same batches and the same latency: what Celery, Postgres and Redis cost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import socket
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests" / "cluster")]

import driver  # noqa: E402
import images  # noqa: E402
from dagruns import run_dag  # noqa: E402
from ground import FIRST_UID, Ground  # noqa: E402

from fanfold.cluster import environment, rolling, runs  # noqa: E402
from fanfold.cluster.compose import Compose, docker  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENCY_MS = 50
SLOTS = 2
CONCURRENCY = 4
BATCHES = 24
NOT_COUNTED = {"simulator", "s3"}
A_RUN = 1200.0
_CPU = (
    "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null"
    " || awk '/^usage_usec/ {print $2 * 1000}' /sys/fs/cgroup/cpu.stat"
)


@contextlib.contextmanager
def cluster() -> Iterator[Compose]:
    """Yield a cluster of its own, which leaves nothing behind."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        env_file = Path(folder, "env")
        given = {
            "COMPOSE_PROJECT_NAME": "fanfold-bench",
            "FANFOLD_PORT": port,
            "FANFOLD_URL": f"http://localhost:{port}",
            "WORKER_SLOTS": str(SLOTS),
        }
        environment.ensure(env_file, given)
        compose = Compose(ROOT, env_file)
        try:
            images.build(env_file)
            rolling.start(compose)
            yield compose
        finally:
            compose.run("down", "--volumes", "--timeout", "20")


def cpu_seconds(compose: Compose) -> float:
    """Return the CPU seconds of all containers so far but those that Fanfold does not need."""
    return sum(
        int(docker("exec", each["ID"], "sh", "-c", _CPU)) / 1e9
        for each in compose.containers()
        if each["State"] == "running" and each["Service"] not in NOT_COUNTED
    )


def params(items: int) -> dict[str, Any]:
    """Return the Params of each run."""
    users = [str(FIRST_UID + number) for number in range(items)]
    return {"user_ids": users, "batch_size": -(-items // BATCHES), "concurrency": CONCURRENCY}


def in_cluster(compose: Compose, items: int) -> dict[str, float]:
    """Run the items through the cluster as it is."""
    before = cpu_seconds(compose)
    run_id = runs.start(compose, items, **params(items))
    seconds = driver.Cluster(compose).wait(run_id, timeout=A_RUN)
    used = cpu_seconds(compose) - before
    counts = runs.manifest(compose, run_id)["counts"]
    if counts["ok"] != items:
        raise SystemExit(f"Not all items were fetched: {counts}")
    # As with the embedded stack: from the moment it was queued.
    return {"seconds": seconds, "cpu_seconds": used}


def in_embedded(items: int, rounds: int) -> list[dict[str, float]]:
    """Run the items through the embedded stack, in as many slots as one worker has."""
    slots = {"AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(SLOTS)}
    with Ground(slots) as ground:
        run_dag(ground, runs.PIPELINE, params(300), items=300)
        found = []
        for _ in range(rounds):
            conf = params(items)
            usage = run_dag(ground, runs.PIPELINE, conf, items=items, latency_ms=LATENCY_MS).usage
            found.append({"seconds": usage.seconds, "cpu_seconds": usage.cpu_s})
        return found


def measured(counts: list[int], items: int, rounds: int) -> dict[str, Any]:
    """Return all figures."""
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    with cluster() as compose:
        for _ in range(rounds):
            for count in counts:
                rolling.scale(compose, "airflow-worker", count)
                in_cluster(compose, 300)
                found[count].append(in_cluster(compose, items))
    embedded = in_embedded(items, rounds)
    return {
        "machine": {
            "cores": os.cpu_count(),
            "day": f"{datetime.now(UTC):%Y-%m-%d}",
            "system": platform.system() + " " + platform.release().split("-")[0],
        },
        "rows": [_row(count, items, each) for count, each in found.items()],
        "embedded": _row(0, items, embedded),
    }


def _row(workers: int, items: int, rounds: list[dict[str, float]]) -> dict[str, Any]:
    seconds = statistics.median(each["seconds"] for each in rounds)
    cpu = statistics.median(each["cpu_seconds"] for each in rounds)
    return {
        "workers": workers,
        "slots": SLOTS,
        "items": items,
        "latency_ms": LATENCY_MS,
        "batch_size": -(-items // BATCHES),
        "concurrency": CONCURRENCY,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "items_per_second": round(items / seconds, 1),
    }


def table(data: dict[str, Any]) -> str:
    """Return the figures as Markdown; ratios are to one worker."""
    machine, first = data["machine"], data["rows"][0]
    items, batches = first["items"], BATCHES
    lines = [
        (
            f"Measured on {machine['day']}: {machine['cores']} cores, {machine['system']}. "
            f"{items:,} users in {batches} batches, {LATENCY_MS} ms, {SLOTS} slots a worker, "
            f"{CONCURRENCY} requests in flight in each."
        ),
        "",
        "| | seconds | items/s | CPU s per 1,000 items |",
        "| --- | --: | --: | --: |",
    ]
    for row in [*data["rows"], data["embedded"]]:
        one = f"{row['workers']} worker{'s' if row['workers'] > 1 else ''}"
        name = one if row["workers"] else "embedded mode, as many slots as one worker"
        rate = row["items_per_second"]
        cpu = 1000 * row["cpu_seconds"] / items
        ratios = [
            row["seconds"] / first["seconds"],
            rate / first["items_per_second"],
            row["cpu_seconds"] / first["cpu_seconds"],
        ]
        lines.append(
            f"| {name} | {row['seconds']:.1f} (×{ratios[0]:.2f}) | {rate:,.0f} (×{ratios[1]:.2f}) "
            f"| {cpu:.2f} (×{ratios[2]:.2f}) |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=6_000, help="users of a run, up to 10,000")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures there, for capacity.py")
    given = parser.parse_args()
    data = measured(given.workers, given.items, given.rounds)
    if given.json:
        given.json.write_text(json.dumps(data, indent=1), "utf-8")
    print(table(data))


if __name__ == "__main__":
    main()
