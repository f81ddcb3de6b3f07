"""A run on Airflow's own scheduler, whose processes are killed at random moments.

Nobody helps: the supervisor of the stack starts again what died, Airflow repeats what was cut off,
and the run ends as if nothing had happened.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import psutil
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from fanfold.local.probes import listens
from fanfold.local.processes import of_sessions
from fanfold.local.restarts import MOST_DEATHS
from fanfold.local.stack import FINISHED, running_stack
from fanfold.local.state import Phase, read
from fanfold.simulator.process import Simulator, running
from fanfold.workspace import Workspace, read_json

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded mode is for Linux")

DAG = "weibo_user_profiles"
BUCKET = "fanfold"
TASK = re.compile(r"^airflow worker -- ([0-9a-f-]{36})$")
RECOVERY_S = 120
"""Seconds after which what was killed has to go on; a machine may be busy with other things."""
STAGE_S = 300
"""Seconds until a run has to reach its next stage."""
SHORT = ("task", "simulator", "scheduler", "task in publish", "s3 in publish")
"""In this order: a task that a scheduler's death has cut off counts that as a try, and a second
death is made good after 40 seconds, not 10."""
ROUNDS = (
    (
        "task",
        "simulator",
        "scheduler",
        "s3",
        "task in batch.process",
        "s3 in publish",
        "task in load",
    ),
    (
        "simulator",
        "task",
        "api-server",
        "task",
        "scheduler",
        "task in consolidate",
        "s3 in publish",
    ),
    ("scheduler", "dag-processor", "simulator", "task", "task in publish", "task in report"),
    ("task", "forkserver", "simulator", "triggerer", "s3", "task in load", "scheduler in report"),
)
"""What is killed in each run of the long form, in another order by another seed."""


class Victim:
    """A stack whose processes are killed, and the run that goes on in it."""

    def __init__(self, stack, latency_ms):
        self.stack = stack
        self.latency_ms = latency_ms
        self.run_id = ""
        self.struck = []
        self.slow_down()

    @property
    def workspace(self):
        return Workspace.of_run(self.stack.home.shared, DAG, self.run_id)

    def slow_down(self):
        """Make the simulator slow, so that there is time; a new one does not know that yet."""
        simulator = Simulator(self.stack.simulator_url, self.stack.token, pid=0)
        simulator.control(latency_ms=self.latency_ms)

    def begin(self, users, concurrency):
        path = self.stack.home.inputs / "chaos.csv"
        path.write_text("\n".join(["user_id", *users]))
        conf = {
            "items_uri": path.as_uri(),
            "batch_size": len(users) // 6,
            "concurrency": concurrency,
        }
        self.stack.wait_for_dag(DAG)
        self.run_id = f"chaos__{time.time_ns()}"
        run = {"dag_run_id": self.run_id, "logical_date": None, "conf": conf}
        self.stack.api("POST", f"/api/v2/dags/{DAG}/dagRuns", json=run)

    def done(self):
        """Return how many users have an outcome."""
        folder = self.workspace.progress(0).parent
        counts = [read_json(path) for path in folder.glob("[0-9]*.json")]
        return sum(count["ok"] + count["missing"] + count["failed"] for count in counts)

    def finished(self):
        return self.stack.run_state(DAG, self.run_id) in FINISHED

    def instances(self):
        """Return the task instances of the run as the API gives them."""
        path = f"/api/v2/dags/{DAG}/dagRuns/{self.run_id}/taskInstances"
        return self.stack.api("GET", path, params={"limit": 200})["task_instances"]

    def pid(self, name):
        return read(self.stack.home.state).processes[name].pid

    def tasks(self):
        """Return the task processes that run, by the id of their task instance."""
        found = {}
        for process in of_sessions([self.pid("scheduler")]):
            with suppress(psutil.Error):
                if match := TASK.match(" ".join(process.cmdline()).strip()):
                    found[match[1]] = process
        return found

    def running(self, task_id, chance):
        """Return a task instance that runs, and its process; None where there is none."""
        processes = self.tasks()
        instances = [
            instance
            for instance in self.instances()
            if instance["id"] in processes and task_id in {None, instance["task_id"]}
        ]
        if not instances:
            return None
        chosen = chance.choice(instances)
        return chosen, processes[chosen["id"]]

    def over(self, stage):
        """Whether all tasks of a stage have ended well; never for no stage in particular."""
        states = {each["state"] for each in self.instances() if each["task_id"] == stage}
        return states == {"success"}

    def wait_for(self, found, seconds, kills):
        """Return what ``found`` returns as soon as it is something; None where the run ends first."""
        deadline = time.monotonic() + seconds
        while not (result := found()):
            self.look(kills)
            if self.finished():
                return None
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        return result

    def said(self):
        states = {f"{i['task_id']}[{i['map_index']}]": i["state"] for i in self.instances()}
        return f"{states}\n{self.stack.home.log_of('supervisor').read_text('utf-8')}"

    # killing

    def strike(self, what, chance, kills):
        """Kill something; a component is waited for, a task's next attempt is not."""
        name, _, stage = what.partition(" in ")
        if stage:
            self.wait_for(lambda: self.running(stage, chance) or self.over(stage), STAGE_S, kills)
            time.sleep(chance.uniform(0, 0.4))  # somewhere in the middle of it
        if name == "task":
            found = self.wait_for(
                lambda: self.running(stage or None, chance) or self.over(stage), STAGE_S, kills
            )
            # A task may have been quicker than this.
            if isinstance(found, tuple):
                instance, process = found
                with suppress(psutil.NoSuchProcess):
                    process.kill()
                    self.note(
                        f"stack: task process, {instance['task_id']}",
                        kills,
                        lambda: self.goes_on_after(instance),
                    )
            return
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        self.note(f"stack: {name}", kills, lambda: self.is_back(name, pid))
        while self.struck and self.struck[-1][0] == f"stack: {name}":
            self.look(kills)
            time.sleep(0.05)
        if name == "simulator":
            self.slow_down()

    def note(self, kind, kills, recovered):
        kills.kill(kind)
        self.struck.append((kind, time.monotonic(), recovered))

    def look(self, kills):
        """Look which of those that were struck go on."""
        for entry in list(self.struck):
            kind, began, recovered = entry
            seconds = time.monotonic() - began
            if recovered():
                kills.recover(kind, seconds)
                self.struck.remove(entry)
                sys.stdout.write(f"{kind}: went on after {seconds:.1f} s\n")
            assert seconds < RECOVERY_S, f"{kind} does not go on\n{self.said()}"

    def goes_on_after(self, killed):
        """Whether another attempt of a task instance runs, or one has succeeded.

        It may be the one that was killed, where it had said so just before.
        """
        same = ("task_id", "map_index")
        return [
            instance
            for instance in self.instances()
            if all(instance[name] == killed[name] for name in same)
            and (instance["try_number"] > killed["try_number"] or instance["state"] == "success")
            and instance["state"] in {"running", "success"}
        ]

    def is_back(self, name, former):
        """Whether a component does again what it is there for."""
        if self.pid(name) == former:
            return False
        ports = {
            "s3": self.stack.s3_url,
            "simulator": self.stack.simulator_url,
            "api-server": self.stack.url,
        }
        if name in ports:
            return listens(urlsplit(ports[name]).port)
        # One that hands out work has handed some out, if any is left.
        hands_out = name in {"scheduler", "forkserver"}
        return bool(self.tasks()) or self.finished() if hands_out else True


@contextmanager
def a_reader(stack):
    """Follow ``latest.json`` all the time, as a reader does; what it saw is checked at the end."""
    seen, wrong = set(), []
    stop = threading.Event()
    s3 = stack.s3()

    def get(key):
        return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def look():
        latest = json.loads(get(f"{DAG}/latest.json"))
        document = get(latest["manifest"])
        whole = hashlib.sha256(document).hexdigest() == latest["sha256"] and all(
            hashlib.sha256(get(latest["prefix"] + entry["key"])).hexdigest() == entry["sha256"]
            for entry in json.loads(document)["files"]
        )
        seen.add(latest["run_id"])
        if not whole:
            wrong.append(latest)

    def follow():
        while not stop.wait(0.2):
            try:
                look()
            except ClientError as error:
                # Nothing was published yet; anything else that is missing is half a run.
                if seen or error.response["Error"]["Code"] != "NoSuchKey":
                    wrong.append(str(error))
            except BotoCoreError:
                continue  # the server was killed

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    look()
    assert not wrong


def outcome_of(workspace):
    """Return the result of a run, without the way to it."""
    manifest = read_json(workspace.manifest)
    failed = (workspace.dataset / "failed.jsonl").read_text("utf-8").splitlines()
    with gzip.open(workspace.dataset / "users.csv.gz", "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    return {
        "counts": manifest["counts"],
        "rows": pq.read_table(workspace.dataset / "users.parquet").to_pylist(),
        "csv": lines,
        "failed": [
            {name: json.loads(line)[name] for name in ("key", "status", "reason")}
            for line in failed
        ],
    }


def undisturbed(run_stages, folder, run_id, as_of, users):
    """Return what comes of the same run without kills, from another simulator."""
    with running() as simulator:
        given = {
            "workspace": str(folder),
            "run": run_id,
            "date": as_of.isoformat(),
            "users": users,
            "batch_size": 250,
            "source": simulator.url,
            "token": simulator.token,
        }
        said = run_stages(given, "plan", "fetch", "process", "consolidate")
        assert "error" not in said, said["trace"]
    return outcome_of(Workspace(folder))


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield Victim(stack, latency_ms=800)


def test_a_run_whose_processes_are_killed_ends_as_one_that_was_left_alone(
    victim, run_stages, kills, chance, long_form, tmp_path
):
    count, least = (900, 20) if long_form else (300, 4)
    before = sum(kills.made.values())
    users = [str(1404376560 + number) for number in range(count - 2)] + ["7", "8"]
    for number, plan in enumerate(ROUNDS if long_form else [SHORT]):
        early = [what for what in plan if " in " not in what]
        late = [what for what in plan if " in " in what]
        if long_form:
            chance.shuffle(early)
        victim.begin(users, concurrency=4)
        with a_reader(victim.stack) as seen:
            shares = sorted(chance.uniform(0.05, 0.7) for _ in early)
            for what, share in zip(early, shares, strict=True):
                victim.wait_for(lambda least=share * count: victim.done() >= least, STAGE_S, kills)
                victim.strike(what, chance, kills)
            for what in late:
                victim.strike(what, chance, kills)
            while not victim.finished():
                victim.look(kills)
                time.sleep(0.2)
            victim.look(kills)
            assert victim.stack.run_state(DAG, victim.run_id) == "success", victim.said()
            assert not victim.struck
        assert victim.run_id in seen
        check(victim, users, run_stages, tmp_path / f"undisturbed-{number}")
    assert sum(kills.made.values()) - before >= least, "some tasks were quicker than the killer"


def check(victim, users, run_stages, folder):
    """Hold the run against an undisturbed one, and bucket and warehouse against the run."""
    workspace = victim.workspace
    manifest = read_json(workspace.manifest)
    found = outcome_of(workspace)
    as_of = found["rows"][0]["as_of"]  # the manifest tells it in milliseconds
    assert found == undisturbed(run_stages, folder, victim.run_id, as_of, users)
    assert found["counts"]["failed"] == 0
    s3 = victim.stack.s3()
    prefix = f"{DAG}/date={manifest['logical_date'][:10]}/"
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    names = {entry["Key"].rpartition("/")[2] for entry in listed if victim.run_id in entry["Key"]}
    assert {"users.parquet", "users.csv.gz", "failed.jsonl", "manifest.json"} < names
    assert "report.html" in names
    with closing(sqlite3.connect(victim.stack.home.warehouse)) as connection:
        loaded = connection.execute("SELECT user_id FROM user_profiles").fetchall()
        runs = connection.execute(
            "SELECT planned, ok FROM fanfold_runs WHERE run_id = ?", [victim.run_id]
        ).fetchall()
    assert sorted(user for (user,) in loaded) == sorted(row["user_id"] for row in found["rows"])
    assert runs == [(found["counts"]["planned"], found["counts"]["ok"])]


def test_a_stack_whose_component_keeps_dying_is_given_up_and_names_it(victim):
    """The last of the file: nothing of the stack runs afterwards."""
    state = read(victim.stack.home.state)
    killed = set()
    deadline = time.monotonic() + RECOVERY_S
    while state.phase is Phase.READY or state.lives:
        assert time.monotonic() < deadline, victim.stack.home.log_of("supervisor").read_text()
        simulator = state.processes["simulator"]
        if simulator.pid not in killed and simulator.lives:
            killed.add(simulator.pid)
            os.kill(simulator.pid, signal.SIGKILL)
        time.sleep(0.05)
        state = read(victim.stack.home.state)
    assert state.phase is Phase.FAILED
    assert state.message.startswith(f"simulator died {MOST_DEATHS} times within 5 minutes")
    assert 1 < len(killed) <= MOST_DEATHS
