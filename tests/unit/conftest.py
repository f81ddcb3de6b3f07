"""A unit test starts no process, listens on no socket and imports no Airflow."""

from __future__ import annotations

import sys

import pytest

FORBIDDEN = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "socket.bind"}
_running = [None]


def _check(event, arguments):
    """Audit hook: see the table of audit events in Python's library reference."""
    test = _running[0]
    if test is None:
        return
    if event in FORBIDDEN or (event == "import" and arguments[0].split(".")[0] == "airflow"):
        _running[0] = None  # what follows reports the failure
        pytest.fail(f"{test}: a unit test must not do {event}{arguments!r:.200}: move it")


sys.addaudithook(_check)


@pytest.fixture(autouse=True)
def pure(request):
    """Fail the test if it starts a process, listens on a socket or imports Airflow."""
    servers = {"s3_server", "postgres_server", "airflow_home"} & set(request.fixturenames)
    assert not servers, "a unit test needs no server: move it"
    _running[0] = request.node.nodeid
    yield
    _running[0] = None
