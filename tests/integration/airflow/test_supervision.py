"""The end of a task is noticed when it comes, by Airflow's own supervisor."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# A supervisor whose task has closed its sockets already, in a process of its own: it is changed there.
SCRIPT = """
import json, socket, subprocess, sys, time, uuid
import psutil, structlog
from airflow.sdk.execution_time.supervisor import PsutilTracker, WatchedSubprocess
from fanfold.airflow.supervision import notice_ends

notice_ends()
once = WatchedSubprocess._service_subprocess
notice_ends()
lives, wait, heard = map(float, sys.argv[1:])
task = subprocess.Popen(["sleep", str(lives)])
watched = WatchedSubprocess(
    id=uuid.uuid4(), pid=task.pid, stdin=socket.socket(), process_log=structlog.get_logger(),
    process=PsutilTracker(psutil.Process(task.pid)),
)
if heard:
    ours, theirs = socket.socketpair()
    watched.selector.register(ours, 1, (lambda sock: sock.recv(1) or True, None))
    theirs.send(b".")
began = time.monotonic()
code = watched._service_subprocess(max_wait_time=wait)
print(json.dumps([code, time.monotonic() - began, WatchedSubprocess._service_subprocess is once]))
task.kill()
"""


@pytest.fixture
def watch(airflow_home):
    """What a supervisor learns of a task that lives so long, how long it takes, and if it is changed once."""
    assert airflow_home.is_dir()

    def look(*, lives, wait, heard=False):
        command = [sys.executable, "-c", SCRIPT, str(lives), str(wait), str(int(heard))]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return look


def test_a_task_that_ends_behind_its_sockets_is_not_waited_for_in_vain(watch):
    code, seconds, once = watch(lives=0.5, wait=60)
    assert code == 0
    assert 0.3 < seconds < 30
    assert once


def test_a_task_that_goes_on_without_sockets_is_left_in_time_for_a_heartbeat(watch):
    code, seconds, _ = watch(lives=60, wait=1)
    assert code is None
    assert seconds > 0.9


def test_what_a_task_says_is_heard_at_once(watch):
    code, seconds, _ = watch(lives=60, wait=60, heard=True)
    assert code is None
    assert seconds < 30
