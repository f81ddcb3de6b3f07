import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fanfold.local import processes
from fanfold.local.processes import STACK, of_stack, stop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the local mode is for Linux")

SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); {SLEEP}"
)
PARENT = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], "
    f"start_new_session=True); print(1, flush=True); {SLEEP}"
)
FORKING = """
import os, pathlib, sys, time
from fanfold.local.processes import fork
child = fork("child", lambda: exec(sys.argv[2]), pathlib.Path(sys.argv[1]))
if "sleep" in sys.argv[2]:
    print(child.pid, flush=True)
child.join()
print(child.exitcode, flush=True)
"""
EXECUTING = """
import os, pathlib, sys
from multiprocessing.connection import wait
from fanfold.local import processes
from fanfold.local.processes import STACK, execute, fork
program = "import os; print(*(name for name in sorted(os.environ) if name[:2] in {'MI', 'FA', 'PA'})); exit(7)"
environment = {"MINE": "1", STACK: os.environ[STACK]}
log = pathlib.Path(sys.argv[1])
child = fork("child", lambda: execute(["-c", program], environment), log)
wait([child.sentinel])
names = log.read_text().replace(STACK, "STACK").split()
child.join()
print(*sorted(names), child.exitcode, flush=True)
"""
BUSY_CHILD = (
    f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', \"import time\\n"
    f'while time.process_time() < 0.3: pass\\nprint(1, flush=True); {SLEEP}"]); child.wait()'
)


@pytest.fixture
def start(tmp_path):
    """Start Python code as a process of the stack in ``tmp_path`` and wait for its first output."""
    started = []

    def _start(*arguments):
        environment = {**os.environ, STACK: str(tmp_path)}
        command = [sys.executable, "-c", *arguments]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        started.append(process)
        return process, process.stdout.readline()

    yield _start
    stop(lambda: of_stack(tmp_path), grace_s=0)
    for each in started:
        each.stdout.close()
        each.wait()


@pytest.mark.parametrize(
    ("program", "code", "output"),
    [
        ("print('done')", 0, "done"),
        ("sys.exit(7)", 7, ""),
        ("sys.exit('message')", 1, "message"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("os.kill(os.getpid(), 9)", -9, ""),
        ("os.system('echo shell'); print(os.getsid(0) == os.getpid())", 0, "shell\nTrue\n"),
    ],
)
def test_a_forked_program_writes_to_its_log_and_returns_its_exit_code(
    start, tmp_path, program, code, output
):
    _, line = start(FORKING, str(tmp_path / "log"), program)
    assert int(line) == code
    assert output in (tmp_path / "log").read_text()


def test_an_executed_program_has_its_own_environment_and_its_parent_waits_for_its_end(
    start, tmp_path
):
    _, line = start(EXECUTING, str(tmp_path / "log"))
    assert line.split() == [b"MINE", b"STACK", b"7"]


@pytest.mark.parametrize(
    ("used", "reason"),
    [
        ([0, 2, 4, 6], ""),
        ([0, 2, 2.5, 2.5], "less than 1 s of CPU time in 200 s"),
        ([0, 50, 100, 130], "has used 130 s of CPU time"),
    ],
)
def test_a_start_is_limited_by_cpu_time_and_by_standstill_not_by_the_clock(
    monkeypatch, used, reason
):
    now, said = 0, []
    monkeypatch.setattr(processes.time, "monotonic", lambda: now)
    limit = processes.Limit(1)
    for used_s in used:
        monkeypatch.setattr(processes, "_cpu_s", lambda _, used_s=used_s: used_s)
        said.append(limit.exceeded())
        now += 200
    assert said[0] == ""
    assert any(reason in each for each in said) if reason else not any(said)


def test_the_cpu_time_of_a_process_is_that_of_its_children_too_and_none_after_its_end(start):
    process, _ = start(BUSY_CHILD)
    assert processes._cpu_s(process.pid) > 0.2
    process.kill()
    process.wait()
    assert processes._cpu_s(process.pid) == 0


def test_a_forked_program_ends_with_its_parent(start, tmp_path):
    parent, line = start(FORKING, str(tmp_path / "log"), "time.sleep(600)")
    child = psutil.Process(int(line))
    parent.kill()
    # As a zombie, if nothing in this container reaps orphans.
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_processes_of_a_killed_parent_are_found_by_their_environment(start, tmp_path):
    process, _ = start(PARENT)
    assert len(of_stack(tmp_path)) == 2
    process.kill()
    process.wait()
    assert len(of_stack(tmp_path)) == 1
    assert of_stack(tmp_path / "other") == set()
    stop(lambda: of_stack(tmp_path), grace_s=10)
    assert of_stack(tmp_path) == set()


@pytest.mark.parametrize(("code", "number"), [(PARENT, signal.SIGTERM), (STUBBORN, signal.SIGKILL)])
def test_a_process_is_terminated_first_and_killed_after_the_grace_period(
    start, tmp_path, code, number
):
    process, _ = start(code)
    began = time.monotonic()
    stop(lambda: of_stack(tmp_path), grace_s=0.3 if number == signal.SIGKILL else 30)
    assert process.wait() == -number
    assert time.monotonic() - began < 20
