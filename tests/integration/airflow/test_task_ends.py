"""A worker detects the end of a task immediately, with the supervisor of Airflow."""

from __future__ import annotations

import logging
import socket
import subprocess
import time
import uuid
from contextlib import closing, contextmanager

import psutil
import pytest

from fanfold.airflow import task_ends


@pytest.fixture
def supervisor(airflow_home, monkeypatch):
    """Airflow's module, unpatched, and unpatched again after the test."""
    assert airflow_home.is_dir()
    from airflow.sdk.execution_time import supervisor

    # Setting it to itself makes monkeypatch restore it.
    original = supervisor.WatchedSubprocess._service_subprocess
    monkeypatch.setattr(supervisor.WatchedSubprocess, "_service_subprocess", original)
    assert not hasattr(original, "__wrapped__")
    return supervisor


@pytest.fixture
def patched(supervisor):
    task_ends.detect_task_ends()
    return supervisor


@contextmanager
def watched(supervisor, *, lives):
    """A supervised process that has closed its sockets and ends after some seconds."""
    with subprocess.Popen(["sleep", str(lives)]) as task, closing(socket.socket()) as stdin:
        yield supervisor.WatchedSubprocess(
            id=uuid.uuid4(),
            pid=task.pid,
            stdin=stdin,
            process_log=logging.getLogger(),
            process=supervisor.PsutilTracker(psutil.Process(task.pid)),
        )
        task.kill()


def service(process, max_wait_time):
    """Return the exit code, None if the process is alive, and the seconds that this took."""
    start = time.monotonic()
    code = process._service_subprocess(max_wait_time=max_wait_time)
    return code, time.monotonic() - start


def test_airflow_still_needs_the_patch(supervisor):
    import airflow.sdk

    with watched(supervisor, lives=0.1) as process:
        _, seconds = service(process, max_wait_time=1.5)
    assert seconds > 1.4, "Airflow has fixed the bug: remove fanfold/airflow/task_ends.py"
    assert airflow.sdk.__version__.startswith(task_ends.AFFECTED), (
        "a new version has the bug: add it to AFFECTED"
    )


def test_the_end_of_a_task_without_open_sockets_is_detected_immediately(patched):
    with watched(patched, lives=0.5) as process:
        code, seconds = service(process, max_wait_time=60)
    assert code == 0
    assert seconds < 30


def test_a_running_task_without_open_sockets_returns_in_time_for_the_heartbeat(patched):
    with watched(patched, lives=60) as process:
        code, seconds = service(process, max_wait_time=0.5)
    assert code is None
    assert 0.4 < seconds < 30


def test_a_message_of_the_task_is_read_immediately(patched):
    ours, theirs = socket.socketpair()
    received = []
    with closing(ours), closing(theirs), watched(patched, lives=60) as process:
        process.selector.register(
            ours, 1, (lambda sock: received.append(sock.recv(1)) or True, None)
        )
        theirs.send(b".")
        code, seconds = service(process, max_wait_time=60)
    assert (code, received) == (None, [b"."])
    assert seconds < 30


def test_the_patch_is_applied_once_and_to_affected_versions_only(supervisor, monkeypatch, caplog):
    import airflow.sdk

    original = supervisor.WatchedSubprocess._service_subprocess
    with monkeypatch.context() as other_version:
        other_version.setattr(airflow.sdk, "__version__", "1.99.0")
        task_ends.detect_task_ends()
    assert supervisor.WatchedSubprocess._service_subprocess is original
    assert "Task SDK 1.99.0 is not patched" in caplog.text
    task_ends.detect_task_ends()
    task_ends.detect_task_ends()
    assert supervisor.WatchedSubprocess._service_subprocess.__wrapped__ is original
