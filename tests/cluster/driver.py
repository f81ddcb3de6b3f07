"""What the tests do with a cluster: start runs, break things, and read what came out."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fanfold.cluster import rolling, runs
from fanfold.cluster.api import Away
from fanfold.cluster.compose import Refused

USERS = 3_000
RATE = 150
"""Requests a second: a run is long enough to be hit in the middle, 20 s of fetches."""
FAULTS = {"http_500": 0.02, "busy": 0.02, "drop": 0.01, "http_503": 0.01}
CALM = {"latency_ms": 50, "error_rate": FAULTS, "first_attempts": 2, "seed": 3}
"""How the API misbehaves in each run; the third attempt for a user always succeeds."""
DATE = datetime(2026, 8, 1, 0, 0, 0, 500_000, tzinfo=UTC)
_ASK = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:8000" + sys.argv[2],
    sys.argv[3].encode() if len(sys.argv) > 3 else None, method=sys.argv[1])
sys.stdout.write(urllib.request.urlopen(request, timeout=10).read().decode())
"""


def eventually(look, *, within, what, pause=0.3):
    """Return the first true answer of ``look``; fail where there is none in time."""
    until = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"not within {within} s: {what}"
        time.sleep(pause)


@dataclass
class Cluster:
    compose: object
    api: object
    started: int = 0
    times: list = field(default_factory=list)

    def containers(self, *services):
        return [each for each in self.compose.containers(*services) if each.state == "running"]

    def one(self, service):
        return self.containers(service)[0]

    # --- the simulated API ---
    def simulator(self, method, path, body=None):
        more = [] if body is None else [json.dumps(body)]
        command = ["python", "-c", _ASK, method, path, *more]
        return json.loads(self.compose.execute(self.one("simulator"), *command))

    def calm(self, **changes):
        self.simulator("DELETE", "/_control")
        self.simulator("POST", "/_control", {**CALM, **changes})
        self.simulator("POST", "/_stats/reset", {})

    def asked(self):
        return self.simulator("GET", "/_stats")["requests"]

    # --- runs ---
    def start(self, **params):
        """Start a run of the same users; its date is that of the others but for microseconds."""
        self.started += 1
        date = DATE + timedelta(microseconds=self.started)
        given = {"requests_per_second": RATE, "batch_size": 250, **params}
        return runs.start(self.api, USERS, logical_date=date, **given)

    def started_in_the_middle(self, **params):
        """Start a run, and return it when a fifth of its users have been asked for."""
        self.calm(**params.pop("simulator", {}))
        run_id = self.start(**params)
        eventually(lambda: self.asked() > USERS / 5, within=120, what="a fifth of the requests")
        return run_id

    def wait(self, run_id, *, patience=420):
        ended = runs.wait(self.api, run_id, patience=patience)
        assert ended["state"] == "success", self.story(run_id)
        return runs.seconds_of(ended)

    def tasks(self, run_id):
        with contextlib.suppress(Away):
            return self.api.tasks(runs.PIPELINE, run_id)
        return []

    def story(self, run_id):
        """Return which tasks of a run did not go well, for a person who reads a failed test."""
        return [
            f"{task['task_id']}[{task['map_index']}] try {task['try_number']}: {task['state']}"
            for task in self.tasks(run_id)
            if task["state"] != "success" or task["try_number"] > 1
        ]

    # --- what came out ---
    def manifest(self, run_id):
        return json.loads(runs.read(self.compose, runs.workspace(run_id).manifest))

    def rows(self, run_id):
        """Return the dataset's rows as texts, without the date of the run."""
        path = runs.workspace(run_id).dataset / "users.csv.gz"
        text = runs.read(self.compose, path, command="zcat")
        rows = list(csv.DictReader(io.StringIO(text)))
        return [{name: value for name, value in row.items() if name != "as_of"} for row in rows]

    def sql(self, database, statement):
        """Return what a statement prints: a line a row, fields divided by |."""
        return self.compose.execute(
            self.one("postgres"),
            *("psql", "--username=postgres", f"--dbname={database}"),
            *("--no-align", "--tuples-only", "--no-psqlrc", f"--command={statement}"),
        ).strip()

    # --- breaking things ---
    def crash(self, container):
        """Kill all that runs in a container, as a fault of its own would: Docker starts it again.

        ``docker kill`` is somebody's wish to Docker, which leaves such a container alone.
        """
        os.kill(container.pid, signal.SIGKILL)

    def destroy(self, container):
        """Kill a container that does not come back: its machine is gone."""
        self.compose.docker("kill", container.id)

    def revive(self, container):
        with contextlib.suppress(Refused):
            self.compose.docker("start", container.id)

    def well(self, *services, patience=180):
        rolling.wait_until_well(self.compose, *services, patience=patience)
