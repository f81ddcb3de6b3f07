"""The sample run: trigger it, wait for it, summarise its result."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.cluster.compose import CommandFailed
from fanfold.errors import Inconsistent
from fanfold.simulator.sample import user_ids
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from fanfold.cluster.compose import Compose

PIPELINE = "weibo_user_profiles"
MAX_USERS = 10_000
"""A longer list does not fit into a command-line argument (128 KiB)."""
POLL_SECONDS = 5.0
"""Each poll starts an ``airflow`` process in the api-server's container."""
SHARED = Path("/var/lib/fanfold/shared")
"""FANFOLD_SHARED_DIR in the containers."""


def start(
    compose: Compose, users: int, *, logical_date: datetime | None = None, **params: object
) -> str:
    """Trigger the sample pipeline; return the run's id.

    One user in a hundred is unknown to the simulator.

    Raises:
        CommandFailed: Airflow refuses.
    """
    run_id = f"cluster-run__{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}"
    conf = json.dumps({"user_ids": user_ids(users), **params}, separators=(",", ":"))
    given = ["--run-id", run_id, "--conf", conf]
    if logical_date is not None:
        given += ["--logical-date", logical_date.isoformat(), "--no-replace-microseconds"]
    _airflow(compose, "dags", "unpause", PIPELINE)
    _airflow(compose, "dags", "trigger", PIPELINE, *given)
    return run_id


def wait(compose: Compose, run_id: str, *, timeout: float) -> dict[str, Any]:
    """Return the run once it has finished. The api-server may be unavailable in between.

    Raises:
        Inconsistent: The run has not finished within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            output = _airflow(compose, "dags", "list-runs", PIPELINE, "--output", "json")
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


def workspace(run_id: str) -> Workspace:
    """Return the workspace of a sample run, with its paths in the containers."""
    return Workspace.of_run(SHARED, PIPELINE, run_id)


def manifest(compose: Compose, run_id: str) -> dict[str, Any]:
    """Return the manifest of a sample run.

    Raises:
        CommandFailed: There is none, or no worker is running.
    """
    text = compose.execute("airflow-worker", "cat", str(workspace(run_id).manifest))
    return dict(json.loads(text))


def summary(compose: Compose, run: dict[str, Any]) -> str:
    """Return the result of a finished run as text for the terminal."""
    began, ended = (datetime.fromisoformat(run[key]) for key in ("start_date", "end_date"))
    seconds = (ended - began).total_seconds()
    lines = ["", f"{PIPELINE}: {run['state']} in {seconds:.1f} s"]
    if run["state"] == "success":
        found = manifest(compose, run["run_id"])
        counts = ", ".join(f"{number} {name}" for name, number in found["counts"].items())
        lines.append(f"  users    {counts} ({found['requests']} requests)")
        lines += [
            f"  file     {each['key']:<16} {each['rows']:>8} rows {each['bytes'] / 1024:>10.1f} KiB"
            for each in found["files"]
        ]
    page = f"{compose.variables['FANFOLD_URL']}/dags/{PIPELINE}/runs/{run['run_id']}"
    return "\n".join([*lines, "", f"{page} (login admin)"])


def _airflow(compose: Compose, *arguments: str) -> str:
    return compose.execute("airflow-apiserver", "airflow", *arguments)
