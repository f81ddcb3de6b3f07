"""What starting costs: importing a DAG file, a mapped task, an HTTP client."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

import peers
from dagruns import PIPELINE, run_dag
from ground import FIRST_UID, ROOT, Ground
from measuring import Failed

from fanfold.errors import FanfoldError
from fanfold.simulator.process import running

if TYPE_CHECKING:
    from pathlib import Path

    from results import Results

IMPORT = """
import sys, time
import airflow.sdk
start = time.perf_counter()
__import__(sys.argv[1])
print((time.perf_counter() - start) * 1000)
"""
FEW, MANY = 10, 30
"""Users of the two runs whose difference is what a mapped task costs; each user is a batch."""
TASKS_A_USER = 2
DEFAULTS = {
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "16",
    "AIRFLOW__CORE__PARALLELISM": "32",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "16",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
}
"""Airflow's own values of what the embedded mode sets (embedded/settings.py says why)."""


def measure_imports(results: Results, folder: Path, rounds: int) -> None:
    """Measure what a DAG file costs over ``import airflow.sdk``, compiled as a worker has it."""
    results.forget("imports")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "PYTHONPATH": str(ROOT / "dags"),
        "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def milliseconds(module: str) -> float:
        command = [sys.executable, "-W", "ignore", "-c", IMPORT, module]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return float(done.stdout.splitlines()[-1])

    for module in ("weibo_user_profiles", "mastodon_user_profiles"):
        milliseconds(module)  # compiles
        cost = statistics.median(milliseconds(module) for _ in range(max(rounds, 5)))
        results.keep("imports", module, round(cost, 1))
        print(f"  import {module}: {cost:.0f} ms over import airflow.sdk", flush=True)


def measure_overhead(ground: Ground, results: Results, rounds: int) -> None:
    """Measure 20 users, a mapped task each, against a DAG of the same shape that does nothing."""
    results.forget("overhead")
    users = {"user_ids": [str(FIRST_UID + number) for number in range(20)]}
    found: dict[str, list[float]] = {"empty_shape": [], PIPELINE: []}
    for _ in range(rounds):
        for dag_id, conf in (("empty_shape", {}), (PIPELINE, users)):
            done = run_dag(ground, dag_id, conf)
            found[dag_id].append(round(done.usage.seconds, 3))
            print(f"  {dag_id}: {done.usage.seconds:.2f} s", flush=True)
    for dag_id, seconds in found.items():
        results.keep("overhead", dag_id, seconds)


def measure_mapped_tasks(results: Results, rounds: int) -> None:
    """Measure what one more mapped task costs: as it is, without the preload, with defaults.

    A mapped task here is what Airflow and our start make of it: one user, so nearly no work.
    """
    results.forget("mapped_tasks")
    empty = "__all__: list[str] = []\n"
    for name, preloads, settings in (
        ("as it is", True, {}),
        ("without preload", False, {}),
        ("without preload, Airflow's default settings", False, DEFAULTS),
    ):
        with Ground() as ground:
            environment = dict(settings)
            if not preloads:
                instead = ground.folder / "config"
                instead.mkdir()
                (instead / "airflow_local_settings.py").write_text(empty, "utf-8")
                environment["PYTHONPATH"] = str(instead)
            ground.extra_env = environment
            try:
                costs = [_cost_of_a_task(ground) for _ in range(rounds)]
            except (Failed, FanfoldError) as error:
                results.keep("mapped_tasks", name, {"failed": str(error)[:300]})
                print(f"  {name}: FAILED: {error}", flush=True)
                continue
        seconds = statistics.median(each[0] for each in costs)
        cpu_s = statistics.median(each[1] for each in costs)
        results.keep("mapped_tasks", name, {"seconds": round(seconds, 3), "cpu_s": round(cpu_s, 3)})
        print(f"  {name}: {seconds:.3f} s and {cpu_s:.3f} CPU s a mapped task", flush=True)


def _cost_of_a_task(ground: Ground) -> tuple[float, float]:
    """Return seconds and CPU seconds of one more mapped task."""
    few, many = (
        run_dag(
            ground,
            PIPELINE,
            {"items_uri": ground.users(users).as_uri(), "batch_size": 1},
            items=users,
        ).usage
        for users in (FEW, MANY)
    )
    tasks = TASKS_A_USER * (MANY - FEW)
    return (many.seconds - few.seconds) / tasks, (many.cpu_s - few.cpu_s) / tasks


def measure_clients(results: Results, rounds: int, items: int = 5000, in_flight: int = 16) -> None:
    """Measure HTTP clients against each other: one process, answers decoded, nothing written."""
    results.forget("clients")
    interpreter, clients = peers.python(), str(peers.SCRIPTS / "clients.py")
    names = subprocess.run([interpreter, clients], check=True, capture_output=True, text=True)
    with running() as simulator:
        environment = {
            **os.environ,
            "BENCH_URL": simulator.url,
            "BENCH_TOKEN": simulator.token,
            "NO_PROXY": "127.0.0.1",
        }
        for name in json.loads(names.stdout):
            found = []
            for _ in range(rounds):
                done = subprocess.run(
                    [interpreter, clients, name, str(items), str(in_flight)],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=300,
                    check=False,
                )
                if done.returncode:
                    said = done.stderr.strip().splitlines()[-1:]
                    results.keep("clients", name, {"failed": f"{done.returncode}: {said}"})
                    break
                found.append(json.loads(done.stdout.splitlines()[-1]))
            else:
                cost = {
                    "per_second": round(items / statistics.median(e["seconds"] for e in found)),
                    "cpu_ms": round(1000 * statistics.median(e["cpu_s"] for e in found) / items, 4),
                }
                results.keep("clients", name, cost)
                print(
                    f"  {name}: {cost['per_second']:,} requests/s, {cost['cpu_ms']:.3f} ms of CPU each",
                    flush=True,
                )
