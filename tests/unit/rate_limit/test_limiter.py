"""What a task gets from its rate limiter, in virtual time."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import pytest

from fanfold.errors import BadConfiguration, QuotaSpent, RateLimitUnavailable
from fanfold.messages import ENGINE, Message
from fanfold.rate_limit import Unlimited, open_rate_limiter
from fanfold.rate_limit.file_store import FileStore
from fanfold.rate_limit.limiter import SharedRateLimiter
from fanfold.rate_limit.sliding_window import Limits

LIMITS = [(None, None), (1000, None)]


@pytest.fixture
def stop():
    return threading.Event()


@pytest.fixture
def opened(tmp_path, clock):
    """Open a rate limiter of a connection."""

    def opened(*limits, connection="c", folder=tmp_path, **options):
        return open_rate_limiter(folder, connection, *limits, clock=clock, **options)

    return opened


def seconds_until(moment):
    return (moment - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize("limits", LIMITS)
def test_a_pause_applies_to_all_processes_and_the_longest_counts(opened, clock, stop, limits):
    with (
        opened(*limits, max_wait=5) as one,
        opened(*limits, max_wait=5) as other,
        opened(*limits, max_wait=5, connection="another") as apart,
    ):
        assert other.acquire(stop)
        one.pause(100, Message("quota 10022 is used up"))
        one.pause(1, Message("short"))
        clock.time += 0.1
        for limiter in (one, other):
            with pytest.raises(QuotaSpent, match="quota 10022") as spent:
                limiter.acquire(stop)
            assert 95 < seconds_until(spent.value.reset_at) <= 100
        assert apart.acquire(stop)
        clock.time += 100
        assert other.acquire(stop)


@pytest.mark.parametrize("limits", [*LIMITS, "unlimited"])
def test_a_short_pause_is_waited_for_until_stop(tmp_path, clock, stop, limits):
    limiter = Unlimited(clock=clock)
    if limits != "unlimited":
        store = FileStore(tmp_path / "c.json", clock.now)
        limiter = SharedRateLimiter(store, Limits(*limits), 60, clock)
    start = clock.time
    limiter.pause(20, Message("Retry-After"))
    limiter.pause(1, Message("short"))
    assert limiter.acquire(stop)
    assert 20 <= clock.time - start < 20.1
    limiter.pause(30, Message("Retry-After"))
    clock.at(2, stop.set)
    assert not limiter.acquire(stop)
    assert clock.time - start < 22.2
    limiter.pause(61, Message("a minute"))
    with pytest.raises(QuotaSpent, match="a minute"):
        limiter.acquire(threading.Event())


def test_a_pause_that_ends_while_the_process_waits_is_not_waited_for_twice(opened, clock, stop):
    with opened(5, None) as one, opened(5, None) as other:
        one.pause(4, Message("Retry-After"))
        clock.at(2, lambda: other.pause(10, Message("once more")))
        start = clock.time
        assert one.acquire(stop)
        assert 12 <= clock.time - start < 12.1


def test_the_hourly_limit_is_used_to_the_last_request_and_not_exceeded(opened, clock, stop):
    with opened(None, 70, max_wait=5) as one, opened(None, 70, max_wait=5) as other:
        assert all(limiter.acquire(stop) for limiter in (one, other) for _ in range(35))
        with pytest.raises(QuotaSpent, match="limit of 70 requests per hour is used up") as spent:
            one.acquire(stop)
        assert 3600 < seconds_until(spent.value.reset_at) < 3640
        clock.time += 3632
        assert other.acquire(stop)


def test_a_slow_rate_is_waited_for_whatever_max_wait_says(opened, clock, stop):
    with opened(0.1, None, max_wait=1) as limiter:
        start = clock.time
        assert all(limiter.acquire(stop) for _ in range(3))
        assert 20 <= clock.time - start < 22
        clock.at(3, stop.set)
        assert not limiter.acquire(stop)


def test_a_changed_rate_applies_to_the_requests_that_wait(opened, clock, stop):
    with opened(0.5, None) as limiter:
        assert limiter.acquire(stop)
        assert limiter.slowed_by is None
        start = clock.time
        clock.at(1, lambda: limiter.set_rate(100))
        assert all(limiter.acquire(stop) for _ in range(51))
        assert clock.time - start < 3
        assert limiter.slowed_by == "rate"
        limiter.set_rate(None)
        start = clock.time = clock.time + 10
        assert all(limiter.acquire(stop) for _ in range(1000))
        assert clock.time == start
        assert limiter.slowed_by is None
        limiter.set_rate(0.5)
        assert all(limiter.acquire(stop) for _ in range(3))
        assert clock.time - start >= 4
        with pytest.raises(BadConfiguration, match="requests_per_second is 0"):
            limiter.set_rate(0)
        limiter.pause(20, ENGINE.message("http.unexpected", path="/", status=503))
        assert limiter.slowed_by == "503"


def test_a_store_that_stays_unavailable_fails_the_task_and_one_that_comes_back_does_not(
    opened, clock, stop, tmp_path
):
    folder = tmp_path / "limits"
    folder.touch()
    with opened(5, None, folder=folder) as limiter:
        start = clock.time
        with pytest.raises(RateLimitUnavailable):
            limiter.acquire(stop)
        assert 15 <= clock.time - start < 16
        clock.at(3, folder.unlink)
        assert limiter.acquire(stop)
        assert clock.time - start < 20
        folder.rename(tmp_path / "elsewhere")
        folder.touch()
        clock.at(1, stop.set)
        assert not limiter.acquire(stop)


class Delayed(FileStore):
    """A store whose answers take a while."""

    def __init__(self, path, clock):
        super().__init__(path, clock.now)
        self.clock = clock
        self.delay = 0.0
        self.weights = []

    def check(self, algorithm, rates, now, weight):
        decision = super().check(algorithm, rates, now, weight)
        self.weights.append(weight)
        self.clock.time += self.delay
        return decision


def test_a_permit_that_arrives_late_is_not_used_but_a_slow_store_is(tmp_path, clock, stop):
    store = Delayed(tmp_path / "c.json", clock)
    limiter = SharedRateLimiter(store, Limits(1000, None), 5, clock)
    assert limiter.acquire(stop)
    store.delay = 0.04
    assert limiter.acquire(stop)
    assert limiter.expired > 0
    expired = limiter.expired
    assert all(limiter.acquire(stop) for _ in range(10))
    assert limiter.expired == expired


def test_permits_that_no_thread_uses_in_time_expire(tmp_path, clock, stop):
    store = Delayed(tmp_path / "c.json", clock)
    limiter = SharedRateLimiter(store, Limits(1000, None), 5, clock)
    limiter.waiting = 5
    assert all(limiter.acquire(stop) for _ in range(2))
    clock.time += 0.016
    assert limiter.acquire(stop)
    assert store.weights == [6, 6]
    assert limiter.expired == 4


def test_one_question_serves_all_waiting_threads(tmp_path, clock, stop):
    store = Delayed(tmp_path / "c.json", clock)
    limiter = SharedRateLimiter(store, Limits(1000, None), 5, clock)
    with limiter._turn:
        threads, results = start_threads(10, limiter, stop)
        until(lambda: limiter.waiting == 10)
    for thread in threads:
        thread.join()
    assert results == [True] * 10
    assert store.weights[0] == 10
    assert sum(store.weights) == 10


def test_two_hundred_threads_stop_at_once(tmp_path, stop):
    with open_rate_limiter(tmp_path, "c", 1 / 60, None) as limiter:
        threads, results = start_threads(200, limiter, stop)
        until(lambda: limiter.waiting == 199)
        stop.set()
        for thread in threads:
            thread.join(10)
    assert sorted(results) == [False] * 199 + [True]


def start_threads(number, limiter, stop):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(limiter.acquire(stop)), daemon=True)
        for _ in range(number)
    ]
    for thread in threads:
        thread.start()
    return threads, results


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_without_limits_no_file_is_written(opened, stop, tmp_path):
    with opened(None, None, folder=tmp_path / "none") as limiter:
        assert all(limiter.acquire(stop) for _ in range(1000))
    assert not (tmp_path / "none").exists()


def test_connections_have_limits_of_their_own(opened, stop, tmp_path):
    with opened(None, 1, connection="a") as one, opened(None, 1, connection="b/../a") as other:
        assert one.acquire(stop)
        assert other.acquire(stop)
    assert len(list(tmp_path.glob("*.json"))) == 2


@pytest.mark.parametrize(
    "url",
    ["localhost:6379", "http://:s3cret@localhost", "redis://:s3/cret@localhost:6379/0", "rubbish"],
)
def test_an_invalid_redis_url_is_rejected_without_its_password(opened, url):
    with (
        pytest.raises(BadConfiguration, match="FANFOLD_RATE_LIMIT_URL is not a Redis URL") as error,
        opened(50, None, redis_url=url),
    ):
        pass
    assert "s3" not in str(error.value)
    assert error.value.__cause__ is None
