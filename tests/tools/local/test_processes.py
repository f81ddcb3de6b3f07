import os
import subprocess
import sys
import time

import psutil
import pytest

from fanfold.local.processes import birth, descendants, of_sessions, spawn, stop

SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); {SLEEP}"
PARENT = (
    "import subprocess, sys;"
    f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}]);"
    f"print('on', flush=True); {SLEEP}"
)


def wait_for_text(path, text, timeout=10):
    deadline = time.monotonic() + timeout
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < deadline, f"{text!r} never came"
        time.sleep(0.01)


@pytest.fixture
def start(tmp_path):
    started = []

    def _start(code, **options):
        log = tmp_path / f"{len(started)}.log"
        started.append(
            spawn([sys.executable, "-c", code], log=log, environment=os.environ, **options)
        )
        return started[-1], log

    yield _start
    for each in started:
        stop(lambda each=each: of_sessions([each.pid]), grace_s=0)
        each.wait()


def test_what_a_program_says_is_added_to_its_log(start, tmp_path):
    (tmp_path / "0.log").write_text("before\n")
    process, log = start("print('hello')")
    process.wait()
    assert log.read_text() == "before\nhello\n"


def test_a_process_has_the_same_birth_as_long_as_it_lives_and_none_afterwards(start):
    process, _ = start(SLEEP)
    first = birth(process.pid)
    assert first is not None
    assert birth(process.pid) == first
    process.kill()
    while process.poll() is None:
        assert birth(process.pid) in {first, None}
    assert birth(process.pid) is None


def test_a_zombie_counts_as_gone(start):
    process, _ = start("")
    deadline = time.monotonic() + 10
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
    assert birth(process.pid) is None
    assert descendants([process.pid]) == []


def test_stopping_asks_first(start):
    process, log = start(PARENT)
    wait_for_text(log, "on")
    assert len(descendants([process.pid])) == 2
    assert stop(lambda: descendants([process.pid]) or of_sessions([process.pid]))
    assert of_sessions([process.pid]) == []


def test_what_does_not_go_when_asked_is_killed(start):
    process, log = start(STUBBORN)
    wait_for_text(log, "on")
    assert not stop(lambda: descendants([process.pid]), grace_s=0.2)
    process.wait()
    assert process.returncode == -9


def test_children_of_a_killed_process_are_found_by_their_session(start):
    process, log = start(PARENT)
    wait_for_text(log, "on")
    process.kill()
    process.wait()
    assert len(of_sessions([process.pid])) == 1
    stop(lambda: of_sessions([process.pid]))
    assert of_sessions([process.pid]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
def test_a_tied_process_ends_when_its_parent_is_killed(tmp_path):
    code = (
        "import os, sys, time; from pathlib import Path;"
        "from fanfold.local.processes import spawn;"
        f"child = spawn([sys.executable, '-c', {SLEEP!r}], log=Path(sys.argv[1]),"
        " environment=os.environ);"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE
    ) as parent:
        child = int(parent.stdout.readline())
        assert birth(child) is not None
        parent.kill()
    deadline = time.monotonic() + 10
    while birth(child) is not None:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.01)
