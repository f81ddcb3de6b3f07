"""The sample through the cluster: started, waited for, and what came out."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fanfold.cluster.api import Airflow, Away
from fanfold.errors import Inconsistent
from fanfold.simulator.sample import user_ids
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.cluster.compose import Compose

PIPELINE = "weibo_user_profiles"
FINISHED = {"success", "failed"}
SHARED = "/var/lib/fanfold/shared"
"""FANFOLD_SHARED_DIR in the containers."""
SILENCE = 180.0
"""Seconds for which the API server may be away while a run is waited for."""


def airflow(compose: Compose) -> Airflow:
    """Return the API of a cluster, as its admin."""
    variables = compose.variables
    address = f"http://{variables.get('FANFOLD_BIND', '127.0.0.1')}"
    url = f"{address}:{variables.get('FANFOLD_PORT', '8080')}"
    return Airflow(url, "admin", variables["AIRFLOW_ADMIN_PASSWORD"])


def start(
    api: Airflow, users: int, *, logical_date: datetime | None = None, **params: object
) -> str:
    """Trigger the sample for so many users; return the run's id.

    Args:
        api: The cluster's API.
        users: How many, up to 10,000; one in a hundred is unknown to the simulator.
        logical_date: That of the run; None: none.
        params: Further Params of the pipeline.
    """
    run_id = f"cluster-run__{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}"
    conf = {"user_ids": user_ids(users), **params}
    api.trigger(PIPELINE, run_id, conf, logical_date)
    return run_id


def wait(api: Airflow, run_id: str, *, patience: float) -> dict[str, Any]:
    """Return the run when it has ended. The API server may be away meanwhile.

    Raises:
        Inconsistent: It did not end within ``patience`` seconds.
        Away: The API server did not answer for a long time.
    """
    until = time.monotonic() + patience
    heard = time.monotonic()
    while True:
        try:
            run = api.run(PIPELINE, run_id)
            heard = time.monotonic()
        except Away:
            if time.monotonic() - heard > SILENCE:
                raise
        else:
            if run["state"] in FINISHED:
                return run
        if time.monotonic() > until:
            raise Inconsistent(f"The run {run_id} has not ended after {patience:g} s.")
        time.sleep(0.5)


def seconds_of(run: dict[str, Any], since: str = "start_date") -> float:
    """Return how long a run took, from its start or from another of its moments (``queued_at``)."""
    began, ended = (datetime.fromisoformat(run[key]) for key in (since, "end_date"))
    return (ended - began).total_seconds()


def workspace(run_id: str) -> Workspace:
    """Return the workspace of a run of the sample, with its paths in the containers."""
    from pathlib import Path

    return Workspace.of_run(Path(SHARED), PIPELINE, run_id)


def read(compose: Compose, path: Path, *, command: str = "cat") -> str:
    """Return a text file from the shared directory.

    Raises:
        Refused: It is not there.
        Inconsistent: Nothing runs that reaches it.
    """
    for container in compose.containers("airflow-worker", "airflow-apiserver"):
        if container.state == "running":
            return compose.execute(container, command, str(path))
    raise Inconsistent("Neither a worker nor the API server runs: see `make cluster-up`.")


def by_worker(compose: Compose, api: Airflow, run_id: str) -> Counter[str]:
    """Return how many tasks of a run each worker did, by the name of its container."""
    names = {each.hostname: each.name for each in compose.containers("airflow-worker")}
    done = [task["hostname"] for task in api.tasks(PIPELINE, run_id) if task["hostname"]]
    return Counter(names.get(host, f"{host} (gone)") for host in done)


def summary(compose: Compose, api: Airflow, run: dict[str, Any]) -> str:
    """Return what came out of a run that has ended."""
    run_id = run["dag_run_id"]
    lines = ["", f"{PIPELINE}: {run['state']} in {seconds_of(run):.1f} s"]
    if run["state"] == "success":
        manifest = json.loads(read(compose, workspace(run_id).manifest))
        counts = ", ".join(f"{number} {name}" for name, number in manifest["counts"].items())
        lines.append(f"  users    {counts} ({manifest['requests']} requests)")
        lines += [
            f"  file     {each['key']:<16} {each['rows']:>8} rows {each['bytes'] / 1024:>10.1f} KiB"
            for each in manifest["files"]
        ]
    for name, count in sorted(by_worker(compose, api, run_id).items()):
        lines.append(f"  tasks    {count:>4} on {name}")
    url = compose.variables.get("FANFOLD_URL", api.url)
    lines += ["", f"{url}/dags/{PIPELINE}/runs/{run_id} (login admin)"]
    return "\n".join(lines)
