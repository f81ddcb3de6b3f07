"""What workers add: the cluster of docker-compose.yaml with 1, 2 and 4, and the local stack beside it.

    python bench/cluster.py [--items 6000] [--workers 1 2 4] [--rounds 2]

Starts a cluster of its own (needs Docker; images that cannot be pulled are built by
tests/cluster/images.py) and runs the same users through each number of workers in turn. CPU is that of
all Airflow containers with Postgres and Redis, from their cgroups; simulator and S3 server are left
out. Responses take 50 ms and few requests are in flight, so that latency bounds the run, as with a
remote API, and not the cores of one machine.

The local stack then runs the same items in as many slots as one worker has: the difference is the cost
of Celery, Postgres and Redis.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import figure, machine, table
from stack import FIRST_UID, PIPELINE, ROOT, running_bench

from fanfold.cluster import environment, rolling, runs
from fanfold.cluster.compose import Compose, docker

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENCY_MS = 50
"""As docker-compose.yaml sets the simulator."""
SLOTS = 2
CONCURRENCY = 4
BATCHES = 24
WARM_UP = 300
EXCLUDED = {"simulator", "s3"}
TIMEOUT_S = 1200.0
_CPU_NS = (
    "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null"
    " || awk '/^usage_usec/ {print $2 * 1000}' /sys/fs/cgroup/cpu.stat"
)


@contextmanager
def cluster() -> Iterator[Compose]:
    """Run a cluster of its own; remove its containers and volumes at the end."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        settings = {
            "COMPOSE_PROJECT_NAME": "fanfold-bench",
            "FANFOLD_VERSION": "bench",
            "FANFOLD_PORT": port,
            "FANFOLD_URL": f"http://localhost:{port}",
            "WORKER_SLOTS": str(SLOTS),
        }
        environment.ensure(Path(folder, "env"), settings)
        compose = Compose(ROOT, Path(folder, "env"))
        try:
            compose.run("build", rolling.INSTALLATION, "simulator")
            rolling.start(compose)
            yield compose
        finally:
            compose.run("down", "--volumes", "--timeout", "20")


def cpu_seconds(compose: Compose) -> float:
    """Return the CPU seconds of the containers of Airflow, Postgres and Redis since their start."""
    return sum(
        int(docker("exec", each["ID"], "sh", "-c", _CPU_NS)) / 1e9
        for each in compose.containers()
        if each["State"] == "running" and each["Service"] not in EXCLUDED
    )


def params(items: int) -> dict[str, Any]:
    """Return the Params of a run."""
    users = [str(FIRST_UID + number) for number in range(items)]
    return {"user_ids": users, "batch_size": -(-items // BATCHES), "concurrency": CONCURRENCY}


def in_cluster(compose: Compose, items: int) -> tuple[float, float]:
    """Run the items through the cluster; return its seconds and CPU seconds."""
    before = cpu_seconds(compose)
    batches = {"batch_size": -(-items // BATCHES), "concurrency": CONCURRENCY}
    run_id = runs.start(compose, items, **batches)
    run = runs.wait(compose, run_id, timeout=TIMEOUT_S)
    used = cpu_seconds(compose) - before
    if run["state"] != "success":
        raise SystemExit(f"The run {run_id} ended as {run['state']}.")
    began, ended = (datetime.fromisoformat(run[key]) for key in ("start_date", "end_date"))
    return (ended - began).total_seconds(), used


def in_local(items: int, rounds: int) -> list[tuple[float, float]]:
    """Run the items through the local stack; return the same figures."""
    found = []
    with running_bench({"AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(SLOTS)}) as bench:
        for _ in range(rounds):
            run = bench.run(PIPELINE, params(items), items=items, latency_ms=LATENCY_MS)
            found.append((run.usage.seconds, run.usage.cpu_s))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=6_000, help="users of a run, up to 10,000")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    subprocess.run([sys.executable, str(ROOT / "tests/cluster/images.py")], check=True)
    found: dict[str, list[tuple[float, float]]] = {}
    with cluster() as compose:
        for _ in range(given.rounds):
            for count in given.workers:
                rolling.scale(compose, "airflow-worker", count)
                in_cluster(compose, WARM_UP)
                found.setdefault(f"workers: {count}", []).append(in_cluster(compose, given.items))
    found["local stack, slots of one worker"] = in_local(given.items, given.rounds)
    medians = {
        name: [statistics.median(each) for each in zip(*rounds, strict=True)]
        for name, rounds in found.items()
    }
    (first_s, first_cpu), *_ = medians.values()
    print(
        f"{machine()} {given.items:,} users in {BATCHES} batches, {LATENCY_MS} ms, {SLOTS} slots a "
        f"worker, {CONCURRENCY} requests in flight in each. Ratios are to the first row.\n"
    )
    rows = [
        [
            *(name, figure(seconds, first_s)),
            figure(given.items / seconds, given.items / first_s),
            figure(1000 * cpu / given.items, 1000 * first_cpu / given.items),
        ]
        for name, (seconds, cpu) in medians.items()
    ]
    print(table(["", "seconds", "items/s", "CPU s per 1,000 items"], rows))


if __name__ == "__main__":
    main()
