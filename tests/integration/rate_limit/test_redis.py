"""The store in Redis: the script decides as the Python code does, and outages are reported."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing

import pytest

from fanfold.errors import BadConfiguration, QuotaSpent, RateLimitUnavailable
from fanfold.messages import Message
from fanfold.rate_limit import open_rate_limiter, open_store
from fanfold.rate_limit.file_store import FileStore
from fanfold.rate_limit.redis_store import RedisStore
from fanfold.rate_limit.sliding_window import Limits, SlidingWindow

ALGORITHM = SlidingWindow()


@pytest.fixture
def store(redis_server):
    store = RedisStore.at(redis_server.url, "c")
    yield store
    store.close()


def test_the_script_decides_as_the_python_code_does(store, tmp_path):
    """Both start with a lost state; the clock is set back at times."""
    dice = random.Random(1)
    now = 1_800_000_000_000
    file = FileStore(tmp_path / "c.json", lambda: now / 1000)
    file.path.write_text("lost")
    tasks = [Limits(40, 300), Limits(200, 300), Limits(None, 300), Limits(7.5, None)]
    failing = set()
    for number in range(3000):
        now += dice.choice((0, 1, 5, 20, 100))
        if number % 100 == 0:
            now += dice.choice((-3_000_000, 1_500_000))
        limits = dice.choice(tasks)
        weight = dice.randint(1, limits.batch)
        expected = file.check(ALGORITHM, limits.rates, 0, weight)
        assert store.check(ALGORITHM, limits.rates, now, weight) == expected, number
        failing.add(expected.failing_rate and limits.rates.index(expected.failing_rate))
    assert failing == {None, 0, 1, 2}


def test_permits_count_by_the_clock_of_the_server_and_lost_data_costs_a_window(store, redis_server):
    rates = Limits(5, 10).rates
    for _ in range(2):
        assert store.check(ALGORITHM, rates, 0, 1).retry_after_ms > 500
        assert abs(int(redis_server.run("HGET", store.key, "at")) / 1000 - time.time()) < 60
        redis_server.run("FLUSHALL")


def test_a_pause_applies_to_all_workers_and_the_longest_counts(redis_server, tmp_path, clock):
    options = {"redis_url": redis_server.url, "max_wait": 5.0, "clock": clock}
    with (
        open_rate_limiter(tmp_path, "c", None, None, **options) as one,
        open_rate_limiter(tmp_path, "c", None, None, **options) as other,
        open_rate_limiter(tmp_path, "another", None, None, **options) as apart,
    ):
        assert other.acquire(threading.Event())
        for seconds, said in ((100, "配额已用完"), (1, "short"), (0, "none")):
            one.pause(seconds, Message(said))
        clock.time += 0.1
        with pytest.raises(QuotaSpent, match="配额已用完"):
            other.acquire(threading.Event())
        assert apart.acquire(threading.Event())
    with closing(open_store(tmp_path, "c", redis_url=redis_server.url)) as store:
        action, _, rest = store.to_resume.partition(" the key ")
        key, _, place = rest.partition(" in the Redis ")
        assert (action, place) == ("delete", f"127.0.0.1:{redis_server.port}")
        assert store.paused()[0] > 90
        redis_server.run("DEL", key)
        assert store.paused()[0] <= 0


def test_a_redis_that_stays_unavailable_is_named_without_its_password_and_one_that_returns_is_used(
    redis_server, tmp_path, clock
):
    with open_rate_limiter(
        tmp_path, "c", None, None, redis_url=redis_server.url, clock=clock
    ) as limiter:
        redis_server.stop()
        start = clock.now()
        with pytest.raises(RateLimitUnavailable, match="FANFOLD_RATE_LIMIT_URL") as error:
            limiter.acquire(threading.Event())
        assert clock.now() - start > 15
        assert f"127.0.0.1:{redis_server.port}" in str(error.value)
        assert "s3cret" not in repr(error.value) + repr(error.value.__cause__)
        clock.at(1, redis_server.start)
        assert limiter.acquire(threading.Event())


@pytest.mark.parametrize("url", ["redis://:wrong@{place}/0", "redis://{place}/0", "{right}99"])
def test_a_redis_that_rejects_the_user_is_a_wrong_configuration(redis_server, url):
    place = f"127.0.0.1:{redis_server.port}"
    store = RedisStore.at(url.format(place=place, right=redis_server.url), "c")
    for call in (store.paused, lambda: store.check(ALGORITHM, Limits(5, None).rates, 0, 1)):
        with pytest.raises(BadConfiguration, match=f"LIMIT_URL \\({place}\\)") as error:
            call()
        assert "wrong" not in str(error.value)
    store.close()
