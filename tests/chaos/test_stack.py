"""A run on Airflow's own scheduler, whose task processes are killed at random moments.

Airflow retries the killed tasks, and the results are those of an undisturbed run.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sqlite3
import time
from contextlib import closing, suppress
from datetime import UTC, datetime

import pandas as pd
import psutil
import pyarrow.parquet as pq

from fanfold import testing
from fanfold.local.processes import of_stack
from fanfold.local.stack import FINISHED
from fanfold.simulator import shop
from fanfold.simulator.process import Simulator, running
from fanfold.simulator.sample import upload
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace
from pipelines.order_analysis import PIPELINE as ORDERS

DAG = "weibo_user_profiles"
BUCKET = "fanfold"
TASK = re.compile(r"^airflow worker -- ([0-9a-f-]{36})$")
LATENCY_MS = 800
RECOVERY_S = 120
"""Seconds within which a killed task must run again."""
STAGE_S = 300
"""Seconds within which a run must reach its next stage."""
SHORT = ("batch.fetch", "publish")
ROUNDS = (
    ("batch.fetch", "batch.fetch", "batch.process", "load"),
    ("batch.fetch", "batch.fetch", "consolidate", "publish"),
    ("batch.fetch", "batch.process", "publish", "report"),
)
"""The tasks that are killed in each run of the long form."""


class StackRun:
    """A run in a stack, whose task processes are killed."""

    def __init__(self, stack):
        self.stack = stack
        self.dag_id = DAG
        self.run_id = ""
        self.killed = []

    @property
    def workspace(self):
        return Workspace.of_run(self.stack.home.shared, self.dag_id, self.run_id)

    def begin(self, users):
        # An answer takes a while, so that a task is there to be killed.
        simulator = Simulator(self.stack.simulator_url, self.stack.token, pid=0)
        simulator.control(reset=True, latency_ms=LATENCY_MS)
        path = self.stack.home.inputs / "chaos.csv"
        path.write_text("\n".join(["user_id", *users]))
        conf = {"items_uri": path.as_uri(), "batch_size": len(users) // 3, "concurrency": 4}
        self.trigger(DAG, conf)

    def trigger(self, dag_id, conf):
        """Trigger a run that ``latest.json`` then points to."""
        if dag_id == DAG:
            conf = {**conf, "update_latest": "yes"}
        self.dag_id = dag_id
        self.run_id = self.stack.trigger(dag_id, conf)

    def finished(self):
        return self.state() in FINISHED

    def state(self):
        return self.stack.run_state(self.dag_id, self.run_id)

    def instances(self):
        """Return the task instances of the run as the REST API returns them."""
        path = f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances"
        return self.stack.api("GET", path, params={"limit": 200})["task_instances"]

    def task_processes(self):
        """Return the running task processes by the id of their task instance."""
        found = {}
        for process in of_stack(self.stack.home.root):
            with suppress(psutil.Error):
                if match := TASK.match(" ".join(process.cmdline()).strip()):
                    found[match[1]] = process
        return found

    def kill(self, task_id, chance, kills, within=0.4):
        """Kill a process of a task at a random moment (seconds), unless the task was faster."""
        found = self.wait_for(lambda: self.running(task_id) or self.succeeded(task_id), kills)
        time.sleep(chance.uniform(0, within))  # a random moment within it
        found = self.running(task_id) or found
        if not isinstance(found, list):
            return
        instance, process = chance.choice(found)
        with suppress(psutil.NoSuchProcess):
            process.kill()
            kills.kill(f"stack: task process, {task_id}")
            self.killed.append((instance, time.monotonic()))

    def running(self, task_id):
        """Return the running instances of a task with their processes."""
        processes = self.task_processes()
        return [
            (instance, processes[instance["id"]])
            for instance in self.instances()
            if instance["task_id"] == task_id and instance["id"] in processes
        ]

    def succeeded(self, task_id):
        states = {each["state"] for each in self.instances() if each["task_id"] == task_id}
        return states == {"success"}

    def wait_for(self, condition, kills):
        """Wait until a condition is true or the run is finished; return its value."""
        deadline = time.monotonic() + STAGE_S
        while not (result := condition()) and not self.finished():
            self.note_recovered(kills)
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.2)
        return result

    def end(self, kills):
        """Wait until the run has succeeded, with every killed task run again."""
        self.wait_for(lambda: False, kills)
        self.note_recovered(kills)
        assert self.state() == "success", self.states()
        assert not self.killed

    def latest(self):
        """Return ``latest.json`` of the pipeline; it points to this run."""
        latest = json.loads(self.read(f"{self.dag_id}/latest.json"))
        assert latest["run_id"] == self.run_id
        return latest

    def read(self, key):
        return self.stack.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def states(self):
        return {f"{i['task_id']}[{i['map_index']}]": i["state"] for i in self.instances()}

    def note_recovered(self, kills):
        """Note which killed tasks run again, or have succeeded."""
        instances = self.instances()
        for killed, at in list(self.killed):
            seconds = time.monotonic() - at
            # The killed attempt may have reported its success just before.
            if any(
                (each["task_id"], each["map_index"]) == (killed["task_id"], killed["map_index"])
                and (each["try_number"] > killed["try_number"] or each["state"] == "success")
                and each["state"] in {"running", "success"}
                for each in instances
            ):
                kills.recover(f"stack: task process, {killed['task_id']}", seconds)
                self.killed.remove((killed, at))
            assert seconds < RECOVERY_S, self.states()


def outcome_of(workspace):
    """Return the results of a run that do not depend on how it got there."""
    manifest = read_json(workspace.manifest)
    failed = [
        line
        for name in ("failed.jsonl", "missing.jsonl")
        for line in (workspace.dataset / name).read_text("utf-8").splitlines()
    ]
    with gzip.open(
        workspace.dataset / "user_profiles.csv.gz", "rt", encoding="utf-8", newline=""
    ) as file:
        lines = list(csv.reader(file))
    return {
        "counts": manifest["counts"],
        "rows": pq.read_table(workspace.table("user_profiles")).to_pylist(),
        "csv": lines,
        "failed": [
            {name: json.loads(line)[name] for name in ("key", "status", "reason")}
            for line in failed
        ],
    }


def undisturbed(run_stages, folder, run_id, as_of, users):
    """Return the results of the same run without kills, from another simulator."""
    with running() as simulator:
        given = {
            "workspace": str(folder),
            "run": run_id,
            "date": as_of.isoformat(),
            "users": users,
            "batch_size": len(users),
            "source": simulator.url,
            "token": simulator.token,
        }
        said = run_stages(given, "plan", "fetch", "process", "consolidate")
        assert "error" not in said, said["trace"]
    return outcome_of(Workspace(folder))


def test_a_run_whose_task_processes_are_killed_has_the_results_of_an_undisturbed_one(
    stack, run_stages, kills, chance, long_form, tmp_path
):
    stack_run = StackRun(stack)
    count, least = (900, 8) if long_form else (90, 1)
    before = sum(kills.made.values())
    users = [str(1404376560 + number) for number in range(count - 2)] + ["7", "8"]
    for number, tasks in enumerate(ROUNDS if long_form else [SHORT]):
        stack_run.begin(users)
        for task_id in tasks:
            stack_run.kill(task_id, chance, kills)
        stack_run.end(kills)
        check(stack_run, users, run_stages, tmp_path / f"undisturbed-{number}")
    assert sum(kills.made.values()) - before >= least, "most tasks ended before their kill"


def check(stack_run, users, run_stages, folder):
    """Compare the run with an undisturbed one, and bucket and warehouse with the run."""
    found = outcome_of(stack_run.workspace)
    as_of = found["rows"][0]["as_of"]  # the manifest has only milliseconds
    assert found == undisturbed(run_stages, folder, stack_run.run_id, as_of, users)
    assert found["counts"]["failed"] == 0
    s3, latest = stack_run.stack.s3(), stack_run.latest()
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=latest["prefix"])["Contents"]
    names = {entry["Key"].rpartition("/")[2] for entry in listed}
    assert {
        "user_profiles.parquet",
        "user_profiles.csv.gz",
        "failed.jsonl",
        "missing.jsonl",
        "manifest.json",
    } < names
    assert "report.html" in names
    with closing(sqlite3.connect(stack_run.stack.home.warehouse)) as connection:
        # The warehouse has users of other runs, too.
        loaded = connection.execute(
            "SELECT user_id FROM user_profiles WHERE as_of = (SELECT max(as_of) FROM user_profiles)"
        ).fetchall()
        runs = connection.execute(
            "SELECT planned, ok FROM fanfold_runs WHERE run_id = ?", [stack_run.run_id]
        ).fetchall()
    assert sorted(user for (user,) in loaded) == sorted(row["user_id"] for row in found["rows"])
    assert runs == [(found["counts"]["planned"], found["counts"]["ok"])]


def test_a_merge_whose_tasks_are_killed_has_the_totals_of_all_files(stack, kills, chance, tmp_path):
    """Late and corrected files are merged into what is published, once."""
    stack_run = StackRun(stack)
    today, before = datetime.now(UTC).date(), sum(kills.made.values())
    for number, tasks in enumerate(((), ("consolidate", "publish")), 1):
        files = dict(shop.delivery(today, number, days=2))
        upload(stack.s3(), BUCKET, shop.PREFIX, files.items())
        # The first delivery has a damaged file.
        conf = {"tolerated_failure_percentage": 50, "batch_size": 8}
        stack_run.trigger("order_analysis", conf)
        for task_id in tasks:
            stack_run.kill(task_id, chance, kills, within=0.1)
        stack_run.end(kills)
    assert sum(kills.made.values()) > before, "both tasks ended before their kill"
    for key, body in files.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(body)
    paths = [str(tmp_path / key) for key in files]
    date = datetime.fromisoformat(stack_run.latest()["logical_date"])
    whole = testing.run(ORDERS, paths, as_of=date, charts=False)
    for name, expected in {"order_lines": whole.rows, **whole.folds}.items():
        body = stack_run.read(f"{stack_run.latest()['prefix']}{name}.parquet")
        # The rows of earlier files are as of the first run; files have other URIs.
        varying = expected.columns.intersection(["file", "as_of"])
        pd.testing.assert_frame_equal(
            pq.read_table(io.BytesIO(body)).to_pandas().drop(columns=varying),
            expected.drop(columns=varying),
        )
    with closing(sqlite3.connect(stack.home.warehouse)) as connection:
        loaded = connection.execute(
            "SELECT day, currency, round(revenue, 2) FROM revenue_by_day ORDER BY 1, 2"
        ).fetchall()
    assert loaded == [
        (str(row.day), row.currency, float(row.revenue))
        for row in whole.folds["revenue_by_day"].itertuples()
    ]
