"""A run on the cluster: trigger it, wait for it, summarise its result."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold import formats
from fanfold.cluster.compose import CommandFailed
from fanfold.errors import Inconsistent
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.cluster.compose import Compose

MAX_USERS = 10_000
"""A longer list does not fit into a command-line argument (128 KiB)."""
POLL_SECONDS = 5.0
"""Each poll starts an ``airflow`` process in the api-server's container."""
SHARED = Path("/var/lib/fanfold/shared")
"""FANFOLD_SHARED_DIR in the containers."""


def start(
    compose: Compose,
    pipeline: str,
    conf: Mapping[str, Any],
    *,
    logical_date: datetime | None = None,
) -> str:
    """Trigger a pipeline with Params; return the run's id.

    Raises:
        CommandFailed: Airflow refuses.
    """
    run_id = f"cluster-run__{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}"
    given = ["--run-id", run_id, "--conf", json.dumps(conf, separators=(",", ":"))]
    if logical_date is not None:
        given += ["--logical-date", logical_date.isoformat(), "--no-replace-microseconds"]
    _airflow(compose, "dags", "unpause", pipeline)
    _airflow(compose, "dags", "trigger", pipeline, *given)
    return run_id


def wait(compose: Compose, pipeline: str, run_id: str, *, timeout: float) -> dict[str, Any]:
    """Return the run once it has finished. The api-server may be unavailable in between.

    Raises:
        Inconsistent: The run has not finished within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            output = _airflow(compose, "dags", "list-runs", pipeline, "--output", "json")
            # Airflow logs warnings to stdout, too.
            listed: list[dict[str, Any]] = json.loads(output.strip().splitlines()[-1])
            (run,) = [each for each in listed if each["run_id"] == run_id]
            state = run["state"]
        except CommandFailed as error:
            state = str(error)
        if state in {"success", "failed"}:
            return run
        if time.monotonic() > deadline:
            raise Inconsistent(f"The run {run_id} has not finished after {timeout:g} s: {state}")
        time.sleep(POLL_SECONDS)


def workspace(pipeline: str, run_id: str) -> Workspace:
    """Return the workspace of a run, with its paths in the containers."""
    return Workspace.of_run(SHARED, pipeline, run_id)


def _document(compose: Compose, path: Path) -> dict[str, Any]:
    return dict(json.loads(compose.execute("airflow-worker", "cat", str(path))))


def manifest(compose: Compose, pipeline: str, run_id: str) -> dict[str, Any]:
    """Return the manifest of a run.

    Raises:
        CommandFailed: There is none, or no worker is running.
    """
    return _document(compose, workspace(pipeline, run_id).manifest)


def summary(compose: Compose, pipeline: str, run: dict[str, Any]) -> str:
    """Return the result of a finished run as text for the terminal."""
    began, ended = (datetime.fromisoformat(run[key]) for key in ("start_date", "end_date"))
    seconds = (ended - began).total_seconds()
    lines = ["", f"{pipeline}: {run['state']} in {formats.duration(seconds)}"]
    if run["state"] == "success":
        noun = _document(compose, workspace(pipeline, run["run_id"]).plan)["noun"][0]
        found = manifest(compose, pipeline, run["run_id"])
        counts = ", ".join(f"{number} {name}" for name, number in found["counts"].items())
        plural = "" if found["requests"] == 1 else "s"
        lines.append(f"  {noun:<8} {counts} ({found['requests']} request{plural})")
        lines.append(f"  rows     {found['rows']}, {found['rejected']} rejected")
        lines += [
            f"  file     {each['key']:<28} {each['rows']:>8} rows {formats.size(each['bytes']):>10}"
            for each in found["files"]
        ]
    page = f"{compose.variables['FANFOLD_URL']}/dags/{pipeline}/runs/{run['run_id']}"
    return "\n".join([*lines, "", f"{page} (login admin)"])


def _airflow(compose: Compose, *arguments: str) -> str:
    return compose.execute("airflow-apiserver", "airflow", *arguments)
