"""`make run`, `make up` and `make down` as a person uses them, with a stand-in for the pipeline.

The stand-in writes what the launcher reads, so that these tests are about processes alone.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fanfold.local.home import Home
from fanfold.local.stack import find
from fanfold.local.state import read

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded mode is for Linux")

STAND_IN = """
import os, time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from airflow.sdk import Param, dag, get_current_context, task


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={"items_uri": Param(None, type=["null", "string"])},
)
def weibo_user_profiles():
    @task
    def fold():
        from fanfold.model import Counts, Manifest, RunStatus
        from fanfold.workspace import Workspace, write_json

        context = get_current_context()
        users = len(Path(urlsplit(context["params"]["items_uri"]).path).read_text().split()) - 1
        run = (context["dag"].dag_id, context["run_id"])
        workspace = Workspace.of_run(Path(os.environ["FANFOLD_SHARED_DIR"]), *run)
        write_json(workspace.plan, {"items": users, "batches": 1})
        if users == 13:
            raise ValueError("thirteen are refused")
        write_json(workspace.progress(0), {"ok": users})
        then = "2026-01-01T00:00:00Z"
        counts = Counts(planned=users, ok=users)
        done = Manifest(*run, then, RunStatus.COMPLETE, counts, (), users, then, then)
        write_json(workspace.manifest, done.as_json())

    fold()


weibo_user_profiles()
"""


class Person:
    """Types commands for one folder, and sees which processes belong to it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        (folder / "dags").mkdir()
        (folder / "dags" / "stand_in.py").write_text(STAND_IN)
        self.environment = {
            **os.environ,
            "FANFOLD_HOME": str(self.home.root),
            "FANFOLD_DAGS": str(folder / "dags"),
            "http_proxy": "http://127.0.0.1:9",  # nobody listens there; loopback needs no proxy
        }

    def begin(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "fanfold.local", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def types(self, *arguments: str) -> tuple[int, str]:
        with self.begin(*arguments) as process:
            said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def processes(self) -> list[psutil.Process]:
        """All processes that were started for the folder, told by their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("FANFOLD_HOME") == str(self.home.root):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def sees_within(self, seconds: float, condition) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, [each.cmdline() for each in self.processes()]
            time.sleep(0.1)

    def has_components(self) -> bool:
        state = read(self.home.state)
        return state is not None and "scheduler" in state.processes


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    person = Person(tmp_path_factory.mktemp("embedded"))
    yield person
    person.types("down")
    assert person.processes() == []


def test_up_leaves_a_stack_that_run_uses_until_down(person):
    """One stack for all that can be asked of it: a start takes most of the time."""
    code, said = person.types("up")
    assert code == 0, said
    address = re.search(r"Airflow +(http://127\.0\.0\.1:\d+)\n  login +admin\n", said)
    assert address, said
    supervisor = find(person.home).supervisor

    code, again = person.types("up")
    assert (code, address[1] in again) == (0, True), again

    code, said = person.types("status")
    assert code == 0
    assert "(gone)" not in said

    code, said = person.types("run", "--users", "20")
    assert code == 0, said
    assert "20 planned: 20 ok, 0 missing" in said
    assert "20 of 20 users (100 %)" in said
    assert f"Airflow: {address[1]}" in said

    code, said = person.types("run", "--users", "13")
    assert code == 1, said
    assert "weibo_user_profiles: fold failed" in said
    assert "ValueError: thirteen are refused" in said

    assert find(person.home).supervisor == supervisor
    assert person.types("down") == (0, "Stopped.\n")
    assert person.processes() == []
    assert person.types("down") == (0, "Nothing runs.\n")
    assert person.types("status")[0] == 3


def test_ctrl_c_during_a_start_leaves_no_process(person):
    with person.begin("run") as launcher:
        person.sees_within(60, person.has_components)
        assert len(person.processes()) > 4
        launcher.send_signal(signal.SIGINT)
        said, _ = launcher.communicate(timeout=30)
    assert launcher.returncode == 130, said
    assert person.processes() == []
    assert find(person.home) is None


def test_a_launcher_that_is_killed_takes_its_stack_along_and_the_next_one_is_told(person):
    with person.begin("run") as launcher:
        person.sees_within(60, person.has_components)
        code, said = person.types("run")
        assert code == 1
        assert f"Another `make run` (process {launcher.pid})" in said
        launcher.kill()
    person.sees_within(20, lambda: not person.processes())


def test_what_a_killed_supervisor_left_is_stopped(person):
    with person.begin("up") as launcher:
        person.sees_within(60, person.has_components)
        supervisor = psutil.Process(find(person.home).supervisor.pid)
        supervisor.suspend()  # so that it cannot clean up
        launcher.kill()
    supervisor.kill()
    code, said = person.types("down")
    assert code == 0, said
    person.sees_within(10, lambda: not person.processes())
