"""Fanfold against its peers: each contender at each size and latency."""

from __future__ import annotations

import hashlib
import io
import math
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stack import FIRST_UID, PIPELINE, ROOT, Bench
from watching import Failed, Usage, run_script

from fanfold.local.settings import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

THREADS = 16
"""Requests in flight of one process without latency: Fanfold's default for one task."""
TASKS = 4
"""Batches that share the requests in flight with latency."""
MAPPED_LIMIT = 100
"""Largest list for the DAG with a task a user; Airflow refuses more than 1,024 mapped tasks."""
SCRIPTS = ROOT / "bench" / "contenders"
_VENV = ROOT / ".venv-bench"
_LOCK = ROOT / "requirements-bench.lock"


@dataclass(frozen=True, slots=True)
class Case:
    """The work of a contender.

    Attributes:
        items: Users to fetch.
        latency_ms: Latency of each response.
        in_flight: Requests in flight of all processes; None: :data:`THREADS` in each.
    """

    items: int
    latency_ms: int = 0
    in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of a contender; ``fetch_s`` is from the first request to the last response."""

    usage: Usage
    fetch_s: float


def fanfold(bench: Bench, case: Case) -> Measured:
    """Run the pipeline: DAG, S3, database and report included."""
    shape = {}
    if case.in_flight is not None:
        shape = {
            "batch_size": math.ceil(case.items / TASKS),
            "concurrency": case.in_flight // TASKS,
        }
    return _dag(bench, PIPELINE, case, **shape)


def mapped(bench: Bench, case: Case) -> Measured:
    """Run a DAG that maps one task a user, with the stack's settings."""
    return _dag(bench, "one_task_a_user", case)


def _dag(bench: Bench, dag_id: str, case: Case, **shape: int) -> Measured:
    conf = {"items_uri": bench.users(case.items), **shape}
    run = bench.run(dag_id, conf, items=case.items, latency_ms=case.latency_ms)
    bench.remove(run)
    return Measured(run.usage, run.fetch_s)


def plain(processes: int) -> Callable[[Bench, Case], Measured]:
    """Return the contender that runs a script with ``requests`` and threads."""

    def measure(bench: Bench, case: Case) -> Measured:
        out = bench.folder / "script.parquet"
        out.unlink(missing_ok=True)
        in_flight = case.in_flight // processes if case.in_flight else THREADS
        options = ["--processes", str(processes), "--out", str(out)]
        measured = _script(bench, case, "plain.py", in_flight, options)
        _check(_rows(out), case.items)
        return measured

    return measure


def dlt(bench: Bench, case: Case) -> Measured:
    """Run a dlt pipeline with a parallelized transformer; Parquet on the same S3 server."""
    s3 = bench.stack.s3()
    for key in _objects(s3, "dlt/"):
        s3.delete_object(Bucket=BUCKET, Key=key)
    # Without the working folder of an earlier run, dlt starts from nothing.
    shutil.rmtree(bench.folder / "dlt", ignore_errors=True)
    measured = _script(
        bench,
        case,
        "dlt_pipeline.py",
        case.in_flight or THREADS,
        ["--bucket", BUCKET, "--dataset", "dlt"],
    )
    keys = [key for key in _objects(s3, "dlt/users/") if key.endswith(".parquet")]
    bodies = (s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys)
    _check(sum(_rows(io.BytesIO(body)) for body in bodies), case.items)
    return measured


def _objects(s3: Any, prefix: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        yield from (each["Key"] for each in page.get("Contents", []))


def _rows(file: Path | io.BytesIO) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def _check(rows: int, items: int) -> None:
    if rows != items:
        raise Failed(f"{rows} rows for {items} items")


def _script(bench: Bench, case: Case, name: str, in_flight: int, options: list[str]) -> Measured:
    stack = bench.stack
    bench.simulator.reset()
    bench.simulator.control(latency_ms=case.latency_ms)
    usage = run_script(
        [
            *(peers_python(), str(SCRIPTS / name), "--first", str(FIRST_UID)),
            *("--items", str(case.items), "--in-flight", str(in_flight), *options),
        ],
        environment={
            "BENCH_URL": stack.simulator_url,
            "BENCH_TOKEN": stack.token,
            "DLT_DATA_DIR": str(bench.folder / "dlt"),
            **s3_environment(bench),
        },
        log=bench.folder / "script.log",
        timeout=300 + case.items / 50,
    )
    return Measured(usage, bench.simulator.stats()["seconds"] + case.latency_ms / 1000)


def s3_environment(bench: Bench) -> dict[str, str]:
    """Return the variables with which a script reaches the S3 server."""
    secrets = bench.stack.home.secrets()
    return {
        "BENCH_S3": bench.stack.s3_url,
        "BENCH_S3_KEY": secrets.s3_access_key,
        "BENCH_S3_SECRET": secrets.s3_secret_key,
        "NO_PROXY": "127.0.0.1",
    }


def peers_python() -> str:
    """Return the interpreter of .venv-bench, created from requirements-bench.lock where needed.

    dlt and Airflow pin different versions of botocore, hence an environment of its own.
    """
    interpreter = str(_VENV / "bin" / "python")
    stamp = _VENV / ".fanfold-bench"
    wanted = f"{_VENV} {sys.version} {hashlib.sha256(_LOCK.read_bytes()).hexdigest()}"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        print(f"Creating {_VENV.name}", flush=True)
        shutil.rmtree(_VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(_VENV)], check=True)
        pip = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(_LOCK)], check=True)
        stamp.write_text(wanted, "utf-8")
    return interpreter


CONTENDERS: dict[str, tuple[str, Callable[[Bench, Case], Measured]]] = {
    "fanfold": ("Fanfold", fanfold),
    "plain1": ("requests, 1 process", plain(1)),
    "plain2": ("requests, 2 processes", plain(2)),
    "mapped": ("Airflow, a task a user", mapped),
    "dlt": ("dlt", dlt),
}
"""Name on the command line → label and function."""
BASELINE = "plain2"
