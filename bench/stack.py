"""The environment of the benches: one local stack, one simulator, one S3 server, one list of users."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watching import Failed, Usage, Watch

from fanfold.local.stack import running_stack
from fanfold.simulator.process import Simulator
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fanfold.local.stack import Stack

ROOT = Path(__file__).absolute().parents[1]
PIPELINE = "weibo_user_profiles"
BENCH_DAGS = ("chunked_sum", "empty_shape", "lineitem", "one_task_a_user")
FIRST_UID = 2_000_000_000
_PRIME = 2_654_435_761
"""Multiplying by it permutes the users of a list, whose number has no such factor."""


@dataclass(frozen=True, slots=True)
class DagRun:
    """A DAG run that succeeded.

    Attributes:
        run_id: Its id.
        usage: From the moment it was queued to its end; CPU and memory are those of scheduler,
            dag-processor, triggerer, api-server and tasks, without the simulator and the S3 server.
        fetch_s: Seconds from the first request to the last response, as seen by the simulator.
        watch: Peaks by process.
        instances: Its task instances, as the REST API returns them.
    """

    run_id: str
    usage: Usage
    fetch_s: float
    watch: Watch = field(repr=False)
    instances: list[dict[str, Any]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bench:
    """A running stack and a folder for the files of the bench."""

    folder: Path
    stack: Stack

    @property
    def simulator(self) -> Simulator:
        """The simulator of the stack."""
        pid = self.stack.state.processes["simulator"]
        return Simulator(self.stack.simulator_url, self.stack.token, pid)

    def users(self, items: int) -> str:
        """Return the URI of a CSV file of N users, in no particular order."""
        path = self.stack.home.inputs / f"users-{items}.csv"
        if not path.exists():
            with path.open("w", encoding="ascii") as file:
                file.write("user_id\n")
                file.writelines(f"{FIRST_UID + n * _PRIME % items}\n" for n in range(items))
        return path.as_uri()

    def workspace(self, run_id: str) -> Workspace:
        """Return the workspace of a run of the pipeline."""
        return Workspace.of_run(self.stack.home.shared, PIPELINE, run_id)

    def run(
        self,
        dag_id: str,
        conf: Mapping[str, Any],
        *,
        items: int = 0,
        timeout: float = 1800,
        **simulator: Any,
    ) -> DagRun:
        """Run a DAG to its end.

        Args:
            dag_id: The DAG.
            conf: Its Params.
            items: Users that it must request and, for the pipeline, account for in its manifest.
            timeout: Seconds.
            simulator: Settings of the simulator (docs/simulator.md).

        Raises:
            Failed: It did not succeed, or did less than asked for.
        """
        stack = self.stack
        run_id = f"bench__{secrets.token_hex(6)}"
        self.simulator.reset()
        self.simulator.control(**simulator)
        servers = [stack.state.processes[name] for name in ("simulator", "s3")]
        with Watch(stack.state.supervisor, servers) as watch:
            # The REST API, not the command line: that would add a second of CPU.
            body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
            stack.api("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
            state = stack.wait(dag_id, run_id, timeout)
        stats = self.simulator.stats()
        instances = self._instances(dag_id, run_id)
        if state != "success":
            failed = [each["task_id"] for each in instances if each["state"] == "failed"]
            raise Failed(f"{run_id} is {state}; failed tasks: {failed[:5]}")
        if stats["requests"] < items:
            raise Failed(f"{stats['requests']} requests for {items} items")
        if items and dag_id == PIPELINE:
            manifest = json.loads(self.workspace(run_id).manifest.read_text("utf-8"))
            counts = manifest["counts"]
            if counts["planned"] != items or (
                counts["ok"] != items and "error_rate" not in simulator
            ):
                raise Failed(f"{counts} for {items} items")
        run = stack.api("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        seconds = moment(run["end_date"]) - moment(run["queued_at"])
        usage = Usage(seconds, watch.cpu_s, watch.largest_mb, watch.together_mb)
        # The simulator counts until a response is decided; sending it takes the latency.
        fetch_s = stats["seconds"] + simulator.get("latency_ms", 0) / 1000
        return DagRun(run_id, usage, fetch_s, watch, instances)

    def _instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = []
        total = 1
        while len(found) < total:
            page = self.stack.api("GET", path, params={"limit": 100, "offset": len(found)})
            found += page["task_instances"]
            total = page["total_entries"] if page["task_instances"] else 0
        return found

    def remove(self, run: DagRun) -> None:
        """Remove the workspace of a run."""
        shutil.rmtree(self.workspace(run.run_id).root, ignore_errors=True)


def moment(text: str) -> float:
    """Return a time of the REST API as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


@contextmanager
def running_bench(extra_env: Mapping[str, str] | None = None) -> Iterator[Bench]:
    """Run a stack with the project's DAGs and those of the benches.

    Args:
        extra_env: Variables of the stack that override its own.
    """
    with tempfile.TemporaryDirectory(prefix="fanfold-bench-") as name:
        folder = Path(name)
        dags = folder / "dags"
        shutil.copytree(ROOT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
        for dag_id in BENCH_DAGS:
            shutil.copy(ROOT / "bench" / "dags" / f"{dag_id}.py", dags)
        variables = {"BENCH_PIPELINES": str(ROOT / "bench" / "contenders"), **(extra_env or {})}
        with running_stack(folder / "stack", dags=dags, extra_env=variables) as stack:
            # The first parse of a DAG file is not part of a run.
            for dag_id in (PIPELINE, *BENCH_DAGS):
                stack.wait_for_dag(dag_id)
            bench = Bench(folder, stack)
            # Nor is what each server imports at its first run.
            bench.remove(bench.run(PIPELINE, {"items_uri": bench.users(300)}, items=300))
            yield bench
