import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

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
