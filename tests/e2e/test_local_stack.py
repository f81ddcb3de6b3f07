"""`make run`, `make up` and `make down` as processes, with a small DAG in place of the pipeline.

The DAG writes only the files that the launcher reads.
"""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest

from fanfold.local.home import Home
from fanfold.local.processes import STACK
from fanfold.local.settings import REPOSITORY
from fanfold.local.stack import Stack, find

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the local mode is for Linux")

CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""A control sequence of a terminal."""
SPINNER = re.compile(r"[\u2800-\u28ff] 0:0\d:\d\d ")
SMALL_DAG = """
import os, time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from airflow.sdk import Connection, Param, Variable, dag, get_current_context, task


def listed(params):
    if params["items_uri"] is None:
        return params["numbers"]
    return Path(urlsplit(params["items_uri"]).path).read_text().split()[1:]


@task
def fold():
    from fanfold.model import Basis, Counts, Forecast, Manifest, Plan, RunStatus
    from fanfold.workspace.progress import Progress, write_progress
    from fanfold.workspace.files import write_json
    from fanfold.workspace.paths import Workspace

    context = get_current_context()
    items = len(listed(context["params"]))
    run = (context["dag"].dag_id, context["run_id"])
    workspace = Workspace.of_run(Path(os.environ["FANFOLD_SHARED_DIR"]), *run)
    then = "2026-01-01T00:00:00Z"
    forecast = Forecast(items, None, Basis.UNKNOWN)
    plan = Plan("", items, 0, (0,), then, then, forecast, noun=("number", "数"))
    write_json(workspace.plan, plan.as_json())
    if items == 13:
        hosts = [Connection.get(f"{name}_default").host for name in ("weibo", "mastodon", "sample")]
        raise ValueError(f"thirteen are too many for {hosts} in {Variable.get('region')}")
    if items == 12:
        time.sleep(600)
    write_progress(workspace.batch(0), Progress(0, items, ok=items))
    counts = Counts(planned=items, ok=items)
    done = Manifest(*run, then, RunStatus.COMPLETE, counts, (), items, then, then, rows=7)
    write_json(workspace.manifest, done.as_json())


for dag_id in ("weibo_user_profiles", "concurrent_sum"):

    @dag(
        dag_id=dag_id,
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        params={
            "numbers": Param(["1"], type="array", **{"x-list": True}),
            "items_uri": Param(None, type=["null", "string"]),
        },
    )
    def small():
        fold()

    small()
"""


class Shell:
    """Runs commands for one folder and finds its processes."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        (folder / "dags").mkdir()
        (folder / "dags" / "small_dag.py").write_text(SMALL_DAG)
        self.environment = {
            # Not a part of the `make` that runs the tests.
            **{
                name: os.environ[name]
                for name in os.environ
                if not name.startswith(("MAKE", "MFLAGS"))
            },
            "FANFOLD_HOME": str(self.home.root),
            "FANFOLD_DAGS": str(folder / "dags"),
            "http_proxy": "http://127.0.0.1:9",  # nobody listens there; loopback needs no proxy
            "AIRFLOW_CONN_WEIBO_DEFAULT": "http://weibo.example",
            "AIRFLOW_CONN_OTHER": "http://:mine-alone@other.example",
            "AIRFLOW_VAR_REGION": "cn",
            "FANFOLD_BUCKET": "mine",
        }

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "fanfold.local", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        with self.start(*arguments) as process:
            said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def processes(self) -> list[psutil.Process]:
        """All processes with the folder in their environment: those of the stack, and commands."""
        home = str(self.home.root)
        running = psutil.process_iter(["environ"])
        return [
            each
            for each in running
            if home in {(each.info["environ"] or {}).get(name) for name in ("FANFOLD_HOME", STACK)}
        ]

    def wait_until(self, seconds: float, condition) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, [each.cmdline() for each in self.processes()]
            time.sleep(0.1)

    def has_components(self) -> bool:
        state = find(self.home)
        return state is not None and "scheduler" in state.processes

    @contextmanager
    def terminal(self, *targets: str):
        """`make` with a terminal of its own: its process, and the other end of the terminal."""
        end, tty = pty.openpty()
        command = ["setsid", "--ctty", "make", *targets]
        environment = {**self.environment, "TERM": "xterm", "COLUMNS": "100"}
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), tty)
        with subprocess.Popen(command, cwd=REPOSITORY, env=environment, **streams) as process:
            os.close(tty)
            try:
                yield process, end
            finally:
                os.close(end)

    @contextmanager
    def endless_run(self):
        """`make run` with a task that does not end."""
        with self.start("run", "--users", "12") as launcher:
            try:
                for line in launcher.stdout:
                    assert "fold failed" not in line, line
                    if line == "fold\n":
                        break
                assert launcher.poll() is None
                yield launcher
            finally:
                launcher.kill()


def read(end: int, *, until: str = "") -> str:
    """Read what a terminal shows until it has a text, or until its program ends."""
    said = b""
    with contextlib.suppress(OSError):  # the program has ended
        while not until or until not in said.decode("utf-8", "replace"):
            assert select.select([end], [], [], 60)[0], said
            said += os.read(end, 4096)
    return said.decode()


def check_terminal(shell: Shell) -> None:
    """One line is rewritten while a run is on; a wrong number is one line, and make adds none."""
    with shell.terminal("run", "USERS=20") as (process, end):
        said = read(end)
    assert process.returncode == 0, said
    lines = re.split(r"[\r\n]+", CODE.sub("", said))
    rewritten = [line for line in lines if SPINNER.match(line)]
    assert len(rewritten) > 3
    assert [line for line in rewritten if line.endswith(("queued", "fold"))], "what is going on"
    assert [line for line in shown(said) if SPINNER.match(line)] == [], "it stays after the end"
    assert any(re.match(r"  fold +\d+(\.\d)? s$", line) for line in shown(said))
    with shell.terminal("run", "USERS=many") as (process, end):
        assert read(end) == "USERS must be from 1 to 10000000, not 'many'.\r\n"
    assert process.returncode == 1


def check_connections(shell: Shell, stack: Stack) -> None:
    """What a person has set is kept: one in the shell, one in the UI."""
    edit = {"connection_id": "mastodon_default", "conn_type": "http", "host": "mastodon.example"}
    stack.api("PATCH", "/api/v2/connections/mastodon_default", json=edit)
    names = ("weibo_default", "mastodon_default", "sample_default", "aws_default")
    assert [stack.uses_own(name) for name in names] == [False, False, True, True]
    code, said = shell.run("run", "--users", "13")
    assert code == 1, said
    assert "weibo_user_profiles: fold failed" in said
    hosts = ["weibo.example", "mastodon.example", stack.simulator_url]
    assert f"ValueError: thirteen are too many for {hosts} in cn" in said


def check_another_shell(shell: Shell) -> None:
    """A shell with other connections than the running stack is refused."""
    with patch.dict(shell.environment, AIRFLOW_CONN_TUSHARE_DEFAULT="http://tushare.example"):
        for command in ("run", "up"):
            code, said = shell.run(command)
            assert code == 1
            assert "another value of AIRFLOW_CONN_TUSHARE_DEFAULT, or without it." in said


def check_secrets(shell: Shell) -> None:
    """The S3 server and the simulator have no secrets of others in their environment."""
    known = shell.home.secrets()
    secret = {*map(str, astuple(known)), "mine-alone"}
    for name, own in {"s3": {known.s3_access_key, known.s3_secret_key}, "simulator": set()}.items():
        values = " ".join(psutil.Process(find(shell.home).processes[name]).environ().values())
        assert {each for each in secret if each in values} == own, name


def shown(said: str) -> list[str]:
    """Return the lines that a terminal shows in the end."""
    lines = [""]
    for text in re.split(rf"({CODE.pattern}|\r\n|\r)", said):
        if text == "\r\n":
            lines.append("")
        elif text == "\x1b[1A":  # a line up
            lines.pop()
        elif text in {"\r", "\x1b[2K"}:  # to the start of the line, to write it anew; erase it
            lines[-1] = ""
        elif not CODE.match(text):
            lines[-1] += text
    return lines


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    shell = Shell(tmp_path_factory.mktemp("local"))
    yield shell
    shell.run("down")
    assert shell.processes() == []


def test_up_leaves_a_stack_that_run_uses_until_down_also_after_a_killed_run(shell):
    """One stack for all that can be asked of it: a start takes most of the time."""
    with shell.start("run") as launcher:
        shell.wait_until(60, shell.has_components)
        launcher.kill()
    shell.wait_until(20, lambda: not shell.processes())
    code, said = shell.run("up")
    assert code == 0, said
    address = re.search(r"Airflow +(http://127\.0\.0\.1:\d+)\n  login +admin\n", said)
    assert address, said
    password = shell.home.secrets().admin_password
    assert f"password {password}\n" in said
    assert "make airflow" in said
    supervisor = find(shell.home).supervisor
    stack = Stack(shell.home, find(shell.home))
    s3 = stack.s3()
    assert s3.list_objects_v2(Bucket="mine", Prefix="bars/")["KeyCount"] > 0

    code, again = shell.run("up")
    assert (code, address[1] in again) == (0, True), again

    code, said = shell.run("status")
    assert code == 0
    assert "(gone)" not in said

    code, said = shell.run("run", "--users", "20")
    assert code == 0, said
    assert "  number     20 planned: 20 ok, 0 missing" in said
    assert "  rows       7, 0 rejected" in said
    assert "s3://mine/weibo_user_profiles/date=2026-01-01/run=make-run__" in said
    page = rf"  page +{address[1]}/dags/weibo_user_profiles/runs/make-run__[^/]+/plugin/fanfold-items\n"
    assert re.search(page, said), said
    assert re.search(r"\n  fold +\d+(\.\d)? s\n", said), said
    assert password not in said

    check_terminal(shell)
    code, said = shell.run("airflow", "--arguments=dags list-runs concurrent_sum --output json")
    assert (code, json.loads(said)) == (0, []), said

    code, said = shell.run("run", "--pipeline", "concurrent_sum", "--items", "1 2 0-9")
    assert code == 0, said
    assert "concurrent_sum: complete" in said
    assert "3 planned: 3 ok" in said

    check_connections(shell, stack)
    check_another_shell(shell)
    check_secrets(shell)
    assert find(shell.home).supervisor == supervisor
    assert shell.run("down") == (0, "Stopped.\n")
    assert shell.processes() == []
    assert shell.run("down") == (0, "Nothing runs.\n")
    assert shell.run("status")[0] == 1
    code, said = shell.run("airflow", "--arguments=dags list-runs concurrent_sum --output json")
    assert [run["state"] for run in json.loads(said)] == ["success"], "the database of the folder"


@pytest.mark.parametrize("stage", ["Starting the simulator", "fold"])
def test_ctrl_c_in_a_terminal_leaves_no_process_and_no_trace(shell, stage):
    """While the stack starts, and during the run; make adds nothing to it."""
    with shell.terminal("run", "USERS=12") as (process, end):
        said = read(end, until=stage)
        if stage != "fold":
            shell.wait_until(60, shell.has_components)
            assert len(shell.processes()) > 4
        os.write(end, b"\x03")
        said += read(end)
    assert process.returncode == -signal.SIGINT, said
    assert [line for line in shown(said) if line][-2:] == [
        "Stopping what was started",
        "Interrupted.",
    ]
    assert "Traceback" not in said
    assert shell.processes() == []
    assert find(shell.home) is None


def test_a_second_run_is_refused_and_a_component_that_dies_stops_everything_and_is_named(shell):
    with shell.endless_run() as launcher:
        code, said = shell.run("run")
        assert code == 1
        assert f"Another `make run` (process {launcher.pid})" in said
        os.kill(find(shell.home).processes["dag-processor"], signal.SIGKILL)
        said = launcher.stdout.read()
    assert launcher.returncode == 1
    log = shell.home.log_of("dag-processor")
    why = f"dag-processor was killed by signal 9. The end of {log}:"
    assert why in said
    assert shell.processes() == []
    assert shell.run("status")[1].startswith(f"Nothing runs.\nThe last stack ended: {why}")


def test_what_a_killed_supervisor_left_is_stopped(shell):
    with shell.start("up") as launcher:
        shell.wait_until(60, shell.has_components)
        supervisor = psutil.Process(find(shell.home).supervisor)
        supervisor.suspend()  # so that it cannot clean up
        launcher.kill()
    supervisor.kill()
    code, said = shell.run("down")
    assert code == 0, said
    assert shell.processes() == []
