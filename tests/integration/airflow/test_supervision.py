"""Airflow's supervisor notices the end of a task at once, with our patch."""

from __future__ import annotations

import json
import subprocess
import sys

# A supervisor whose task has closed its sockets. In a process of its own: the patch stays there.
SCRIPT = """
import json, socket, subprocess, sys, time, uuid
import psutil, structlog
from airflow.sdk.execution_time.supervisor import PsutilTracker, WatchedSubprocess
from fanfold.airflow.supervision import notice_ends

def supervise(lives, wait, heard):
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
    task.kill()
    return code, time.monotonic() - began

notice_ends()
once = WatchedSubprocess._service_subprocess
notice_ends()
assert WatchedSubprocess._service_subprocess is once
print(json.dumps([supervise(*case) for case in json.loads(sys.argv[1])]))
"""


def test_a_supervisor_returns_when_its_task_ends_or_sends_or_a_heartbeat_is_due(airflow_home):
    assert airflow_home.is_dir()
    cases = {"ends": (0.5, 60, False), "goes on": (60, 1, False), "sends": (60, 60, True)}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps([*cases.values()])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = dict(zip(cases, json.loads(done.stdout.splitlines()[-1]), strict=True))
    code, seconds = found["ends"]
    assert code == 0
    assert 0.3 < seconds < 30
    code, seconds = found["goes on"]
    assert code is None
    assert seconds > 0.9
    code, seconds = found["sends"]
    assert code is None
    assert seconds < 30
