"""What the tests do with a cluster: start runs, kill containers, read results."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fanfold.cluster import runs
from fanfold.cluster.compose import CommandFailed, docker
from fanfold.simulator.sample import user_ids

PIPELINE = "weibo_user_profiles"
USERS = 3_000
RATE = 150
"""Requests a second: the fetches take 20 s, so that a run can be hit in the middle."""
FAULTS = {"http_500": 0.02, "busy": 0.02, "drop": 0.01, "http_503": 0.01}
CALM = {"latency_ms": 50, "error_rate": FAULTS, "first_attempts": 2, "seed": 3}
"""How the API fails in each run; the third attempt for a user always succeeds."""
DATE = datetime.now(UTC).replace(microsecond=500_000)
_REQUEST = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:8000" + sys.argv[2],
    sys.argv[3].encode() if len(sys.argv) > 3 else None, method=sys.argv[1],
    headers={"Authorization": "Bearer " + open("/tmp/token").read()})
sys.stdout.write(urllib.request.urlopen(request, timeout=10).read().decode())
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(look, *, within, what, pause=0.3):
    """Return the first true answer of ``look``; a failed command of Docker is none."""
    deadline = time.monotonic() + within
    failure = ""
    while True:
        try:
            if found := look():
                return found
        except CommandFailed as error:
            failure = f" ({error})"
        assert time.monotonic() < deadline, f"not within {within} s: {what}{failure}"
        time.sleep(pause)


class Task(NamedTuple):
    """A task instance."""

    key: str
    tries: str
    state: str
    hostname: str


@dataclass
class Cluster:
    compose: object
    started: int = 0

    def containers(self, *services):
        """Return the running containers as ``docker inspect`` has them."""
        found = self.compose.containers(*services)
        ids = [each["ID"] for each in found if each["State"] == "running"]
        return json.loads(docker("inspect", *ids)) if ids else []

    def one(self, service):
        return self.containers(service)[0]

    # --- the simulated API ---
    def simulator(self, method, path, body=None):
        more = [] if body is None else [json.dumps(body)]
        command = ["python", "-c", _REQUEST, method, path, *more]
        return json.loads(self.compose.execute("simulator", *command))

    def calm(self, **changes):
        self.simulator("DELETE", "/_control")
        self.simulator("POST", "/_control", {**CALM, **changes})
        self.simulator("POST", "/_stats/reset", {})

    def requests(self):
        return self.simulator("GET", "/_stats")["requests"]

    # --- runs ---
    def start(self, **params):
        """Start a run of the same users; its logical date differs from others by microseconds."""
        self.started += 1
        date = DATE + timedelta(microseconds=self.started)
        users = {"user_ids": user_ids(USERS), "update_latest": "yes"}
        given = {**users, "requests_per_second": RATE, "batch_size": 250, **params}
        return runs.start(self.compose, PIPELINE, given, logical_date=date)

    def start_and_reach_the_middle(self, **params):
        """Start a run, and return it when a fifth of its users have been requested."""
        self.calm(**params.pop("simulator", {}))
        run_id = self.start(**params)
        eventually(lambda: self.requests() > USERS / 5, within=300, what="a fifth of the requests")
        return run_id

    def wait(self, run_id, *, timeout=420):
        """Return the seconds from the trigger of a successful run to its end."""
        query = (
            "SELECT state, extract(epoch FROM end_date - queued_at) FROM dag_run"
            f" WHERE run_id = '{run_id}' AND state IN ('success', 'failed')"
        )
        ended = eventually(
            lambda: self.sql("airflow", query), within=timeout, what=f"the end of {run_id}", pause=1
        )
        state, seconds = ended.split("|")
        assert state == "success", [
            task for task in self.tasks(run_id) if task.state != "success" or task.tries > "1"
        ]
        return float(seconds)

    def tasks(self, run_id):
        found = self.sql(
            "airflow",
            "SELECT concat(task_id, map_index), try_number, state, hostname FROM task_instance"
            f" WHERE run_id = '{run_id}'",
        )
        return [Task(*line.split("|")) for line in found.splitlines()]

    # --- results ---
    def manifest(self, run_id):
        return runs.manifest(self.compose, PIPELINE, run_id)

    def rows(self, run_id):
        """Return the dataset's rows as texts, without the date of the run."""
        path = runs.workspace(PIPELINE, run_id).dataset / "user_profiles.csv.gz"
        text = self.compose.execute("airflow-worker", "zcat", str(path))
        rows = list(csv.DictReader(io.StringIO(text)))
        return [{name: value for name, value in row.items() if name != "as_of"} for row in rows]

    def sql(self, database, statement):
        """Return the output of a statement: a line per row, fields separated by |."""
        return self.compose.execute(
            "postgres",
            *("psql", "--username=postgres", f"--dbname={database}"),
            *("--no-align", "--tuples-only", "--no-psqlrc", f"--command={statement}"),
        ).strip()


def crash(container):
    """Kill the first process of a container as a bug would: Docker restarts the container.

    After ``docker kill`` the container stays stopped.
    """
    os.kill(container["State"]["Pid"], signal.SIGKILL)
