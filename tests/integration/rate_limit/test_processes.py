"""Several processes share a rate limit, and the server counts what arrives."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from fanfold.errors import RateLimitUnavailable
from fanfold.rate_limit import file_store, open_rate_limiter

SECONDS = 3
LOCKER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["file", "redis"])
def store(request):
    """Options of a client for each store."""
    if request.param == "file":
        return {}
    return {"redis_url": request.getfixturevalue("redis_server").url}


def errors_of(client):
    errors = json.loads(client.communicate()[0].splitlines()[-1])
    assert client.returncode == 0
    return errors


def most_in_a_second(stamps):
    """Return the number of requests in the fullest window of a second, its end excluded."""
    first = most = 0
    for last, stamp in enumerate(stamps):
        while stamps[first] <= stamp - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_processes_stay_within_the_limit_and_use_it_although_one_is_killed(counted, store):
    """Real time: 500 requests a second of three processes, with a fourth killed meanwhile."""
    rate = 500
    clients = [counted.start_client(seconds=SECONDS, per_second=rate, **store) for _ in range(3)]
    killed = counted.start_client(seconds=60, per_second=rate, **store)
    for client in (killed, *clients):
        assert client.stdout.readline() == "sending\n"
    killed.kill()
    killed.wait()
    assert [errors_of(client) for client in clients] == [[]] * 3
    stamps = counted.stamps()["/"]
    # On a busy machine all processes may be late at times, but not for the whole test.
    assert 0.94 * rate <= most_in_a_second(stamps) <= rate
    assert len(stamps) >= 0.5 * rate * (stamps[-1] - stamps[0])


def test_processes_use_the_hourly_limit_to_the_last_request(counted, store):
    pair = [counted.start_client(seconds=60, per_hour=70, max_wait=5.0, **store) for _ in range(2)]
    for client in pair:
        assert "the limit of 70 requests per hour is used up" in errors_of(client)[0]
    assert len(counted.stamps()["/"]) == 70


@pytest.fixture
def locked(tmp_path):
    """A process that holds the lock of connection c."""
    command = [sys.executable, "-c", LOCKER, str(tmp_path / "c.json.lock")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_lock_that_is_held_for_too_long_is_reported_and_a_killed_process_frees_it(
    tmp_path, locked, monkeypatch
):
    monkeypatch.setattr(file_store, "_LOCK_TIMEOUT", 0.2)
    monkeypatch.setattr("fanfold.rate_limit.limiter._UNAVAILABLE", 0.1)
    with open_rate_limiter(tmp_path, "c", 5, None) as limiter:
        with pytest.raises(RateLimitUnavailable, match=r"c\.json has been locked for 0\.2 s"):
            limiter.acquire(threading.Event())
        locked.kill()
        locked.wait()
        assert limiter.acquire(threading.Event())
