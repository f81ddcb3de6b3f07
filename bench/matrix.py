"""Fanfold against its peers: each contender at each size and latency."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import peers
from dagruns import PIPELINE, run_dag
from ground import FIRST_UID, Ground
from measuring import SHARED_LOOK_S, Failed, Usage, run_script
from results import Results, rounds

from fanfold.errors import FanfoldError
from fanfold.local.settings import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THREADS = 16
"""Requests in flight of one process without latency: Fanfold's default for one task."""
IN_FLIGHT = 200
"""Requests in flight of all processes together with latency."""
TASKS = 4
"""Tasks that share them, while a batch stays below :data:`LARGE_BATCH`."""
LARGE_BATCH = 2500
"""Items of a batch from which there are more batches instead of larger ones."""
LONG = 100_000
"""Items from which one round has to do."""
MAPPED_LIMIT = 100
"""Items above which the DAG with a task a user is not run; Airflow refuses it above 1,024."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a contender has to do.

    Attributes:
        items: Users to fetch.
        latency_ms: Milliseconds that each answer waits.
        in_flight: Requests in flight of all processes; None: :data:`THREADS` in each.
    """

    items: int
    latency_ms: int
    in_flight: int | None = None

    def share(self, processes: int) -> int:
        """Return the requests in flight of one process."""
        return THREADS if self.in_flight is None else self.in_flight // processes


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do it."""

    label: str
    measure: Callable[[Ground, Case, float], Usage]


def of_fanfold(ground: Ground, case: Case, shared_look_s: float) -> Usage:
    """The pipeline: DAG, S3, database and report included."""
    conf = {"items_uri": ground.users(case.items).as_uri(), **shape(case, ground.slots)}
    done = run_dag(
        ground,
        PIPELINE,
        conf,
        items=case.items,
        latency_ms=case.latency_ms,
        shared_look_s=shared_look_s,
    )
    return done.usage


def shape(case: Case, slots: Callable[[], int]) -> dict[str, int]:
    """Return the Params that keep so many requests in flight; without a number, the defaults."""
    if case.in_flight is None:
        return {}
    if case.items <= TASKS * LARGE_BATCH:
        tasks = TASKS if case.in_flight >= 100 else 2
        return {
            "batch_size": math.ceil(case.items / tasks),
            "concurrency": case.in_flight // tasks,
        }
    # As many batches at once as there are slots for.
    return {"batch_size": LARGE_BATCH, "concurrency": case.in_flight // slots()}


def of_mapped(ground: Ground, case: Case, shared_look_s: float) -> Usage:
    """A DAG that maps one task a user, with the stack's settings."""
    return run_dag(
        ground,
        "one_task_a_user",
        {"items_uri": ground.users(case.items).as_uri()},
        items=case.items,
        latency_ms=case.latency_ms,
        shared_look_s=shared_look_s,
    ).usage


def script(name: str, processes: int) -> Callable[[Ground, Case, float], Usage]:
    """A plain script."""

    def measure(ground: Ground, case: Case, _: float) -> Usage:
        out = ground.folder / "script.parquet"
        out.unlink(missing_ok=True)
        used = _run_script(
            ground,
            case,
            [
                *(f"{name}.py", "--first", str(FIRST_UID), "--items", str(case.items)),
                *("--in-flight", str(case.share(processes)), "--processes", str(processes)),
                *("--out", str(out)),
            ],
        )
        _expect(_rows(out), case.items)
        return used

    return measure


def of_dlt(ground: Ground, case: Case, _: float) -> Usage:
    """A pipeline of dlt with a parallelized transformer, Parquet on the same S3 server."""
    import io
    import shutil

    working = ground.folder / "dlt"
    shutil.rmtree(working, ignore_errors=True)
    # A working folder of its own each time: dlt begins anew, as on its first day.
    s3 = ground.stack.s3()
    for old in _objects(s3, "dlt/"):
        s3.delete_object(Bucket=BUCKET, Key=old)
    used = _run_script(
        ground,
        case,
        [
            *("dlt_pipeline.py", "--first", str(FIRST_UID), "--items", str(case.items)),
            *("--in-flight", str(case.share(1)), "--bucket", BUCKET, "--dataset", "dlt"),
        ],
        DLT_DATA_DIR=str(working),
    )
    files = [key for key in _objects(s3, "dlt/users/") if key.endswith(".parquet")]
    bodies = (s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in files)
    _expect(sum(_rows(io.BytesIO(body)) for body in bodies), case.items)
    return used


def _objects(s3: Any, prefix: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        yield from (each["Key"] for each in page.get("Contents", []))


def _rows(file: Any) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def _expect(rows: int, items: int) -> None:
    if rows != items:
        raise Failed(f"{rows} rows for {items} items")


def _run_script(ground: Ground, case: Case, command: list[str], **variables: str) -> Usage:
    stack = ground.stack
    secrets = stack.home.secrets()
    ground.simulator.reset()
    ground.simulator.control(latency_ms=case.latency_ms)
    interpreter = peers.python()
    used = run_script(
        [interpreter, str(peers.SCRIPTS / command[0]), *command[1:]],
        environment={
            "BENCH_URL": stack.simulator_url,
            "BENCH_TOKEN": stack.token,
            "BENCH_S3": stack.s3_url,
            "BENCH_S3_KEY": secrets.s3_access_key,
            "BENCH_S3_SECRET": secrets.s3_secret_key,
            "NO_PROXY": "127.0.0.1",
            **variables,
        },
        log=ground.folder / "script.log",
        timeout=300 + case.items / 50,
    )
    return replace(used, fetch_s=ground.simulator.stats()["seconds"] + case.latency_ms / 1000)


CONTENDERS = {
    "fanfold": Contender("Fanfold", of_fanfold),
    "plain1": Contender("requests, 1 process", script("plain", 1)),
    "plain2": Contender("requests, 2 processes", script("plain", 2)),
    "fast1": Contender("pycurl, 1 process", script("fastest", 1)),
    "fast2": Contender("pycurl, 2 processes", script("fastest", 2)),
    "mapped": Contender("Airflow, a task a user", of_mapped),
    "dlt": Contender("dlt", of_dlt),
}
BASELINE = "plain2"


def key(name: str, case: Case) -> str:
    """Return the name of a cell."""
    flight = "" if case.in_flight is None else f" in_flight={case.in_flight}"
    return f"{name} items={case.items} latency_ms={case.latency_ms}{flight}"


def cells(sizes: list[int], latencies: list[int]) -> list[Case]:
    """Return the cases, small ones first."""
    return [
        Case(items, latency, IN_FLIGHT if latency else None)
        for items in sorted(sizes)
        for latency in sorted(latencies)
    ]


def measure_cells(  # noqa: PLR0913, PLR0917 - the facts of a section
    section: str,
    ground: Ground,
    results: Results,
    cases: list[Case],
    names: list[str],
    wanted_rounds: int,
    mapped_limit: int = MAPPED_LIMIT,
) -> None:
    """Measure each contender in each case, in turn; one that fails is noted and left out."""
    for case in cases:
        found: dict[str, list[Usage]] = {name: [] for name in names}
        if "mapped" in found and case.items > mapped_limit:
            del found["mapped"]
            reason = _too_slow(results, case)
            results.keep(section, key("mapped", case), _cell(case, "mapped") | {"not_run": reason})
        count = 1 if case.items >= LONG else wanted_rounds
        for number in range(count):
            for name in list(found):
                if name == "mapped" and number:
                    continue  # one round of a minute is enough to see its slope
                cell = _cell(case, name)
                try:
                    used = CONTENDERS[name].measure(ground, case, _look_s(number, count))
                except (Failed, FanfoldError, OSError) as error:
                    print(f"  {key(name, case)}: FAILED: {str(error)[:1000]}", flush=True)
                    cell["failed"] = str(error)[:300]
                else:
                    _tell(name, case, used)
                    found[name].append(used)
                # Rounds that went well before stay.
                cell["rounds"] = rounds(found[name])
                results.keep(section, key(name, case), cell)
                if "failed" in cell:
                    del found[name]


def _look_s(number: int, count: int) -> float:
    """Return how often shared memory is looked at, which takes 0.2 s for a stack.

    Only in the last round, which a median of three hardly feels; less often where it is the only one.
    """
    if number < count - 1:
        return math.inf
    return SHARED_LOOK_S if count > 1 else 2.5 * SHARED_LOOK_S


def _tell(name: str, case: Case, used: Usage) -> None:
    print(
        f"  {key(name, case)}: {used.seconds:.2f} s, CPU {used.cpu_s:.2f} s, "
        f"{used.largest_mb:.0f} MB ({used.together_mb:.0f} MB together)",
        flush=True,
    )


def _cell(case: Case, name: str) -> dict[str, Any]:
    return {
        "contender": name,
        "items": case.items,
        "latency_ms": case.latency_ms,
        "in_flight": case.in_flight,
    }


def _too_slow(results: Results, case: Case) -> str:
    slope = results.data.get("slope", {})
    refused = "Airflow refuses more than 1,024 mapped tasks"
    if "seconds" not in slope:
        return f"it takes a task for each user, and {refused}"
    minutes = slope["seconds"] * case.items / 60
    return f"at {slope['seconds']:.2f} s a user it would take {minutes:,.0f} minutes, and {refused}"


def measure_slope(ground: Ground, results: Results) -> None:
    """Measure what one more user costs the DAG with a task a user."""
    results.forget("slope")
    few, many = 20, MAPPED_LIMIT
    try:
        less, more = (of_mapped(ground, Case(items, 0), math.inf) for items in (few, many))
    except (Failed, FanfoldError) as error:
        results.keep("slope", "failed", str(error)[:300])
        return
    for name in ("seconds", "cpu_s"):
        slope = (getattr(more, name) - getattr(less, name)) / (many - few)
        results.keep("slope", name, round(slope, 4))
    print(f"  a task a user: {results.data['slope']['seconds']:.3f} s for each further user")
