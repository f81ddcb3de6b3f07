"""The file survives reboots, clocks that are set back, and broken content, and stays small."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanfold.errors import RateLimitUnavailable
from fanfold.rate_limit import file_store
from fanfold.rate_limit.file_store import FileStore
from fanfold.rate_limit.sliding_window import HOUR_MS, Limits, SlidingWindow

RATES = Limits(5, 10).rates
HOUR = HOUR_MS / 1000


@pytest.fixture
def store(tmp_path, clock):
    return FileStore(tmp_path / "c.json", clock.now)


def take(store, rates=RATES):
    return store.check(SlidingWindow(), rates, 0, 1)


@pytest.fixture
def used_up(store, clock):
    """A store whose 10 requests of an hour have just been used up."""
    for _ in range(10):
        assert take(store).allowed
        clock.time += 1
    return store


def reboot(clock, monkeypatch, uptime):
    monkeypatch.setattr(file_store, "_boot_id", lambda: "another")
    clock.time = uptime


@pytest.mark.parametrize("uptime", [5, 10**6, None])
def test_after_a_reboot_or_a_clock_set_back_no_time_has_passed(used_up, clock, monkeypatch, uptime):
    before = take(used_up)
    if uptime is None:
        clock.time -= 3000
    else:
        reboot(clock, monkeypatch, uptime)
    after = take(used_up)
    assert after.failing_rate is before.failing_rate is RATES[2]
    assert after.retry_after_ms == before.retry_after_ms > 3_500_000
    clock.time += after.retry_after_ms / 1000
    assert take(used_up).allowed


def test_a_pause_outlives_a_reboot(store, clock, monkeypatch):
    store.pause(600, "Retry-After")
    clock.time += 100
    assert store.paused() == (500.0, "Retry-After")
    reboot(clock, monkeypatch, 5)
    assert store.paused() == (500.0, "Retry-After")
    clock.time += 501
    assert store.paused()[0] < 0


BROKEN = (
    *(b"", b"\0" * 4096, b"no state\n", b'{"at":1}\n', b"[1,2]\n", b'{"state":[0,0]}'),
    *(b'{"state":5}\n', b'{"state":[0,0],"boot":"","at":1,"ah'),
)


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_file_is_reset_and_costs_a_window(store, content, caplog):
    store.path.write_bytes(content)
    assert take(store).retry_after_ms > 1000
    assert take(store).retry_after_ms > 1000
    assert caplog.text.count("c.json is unreadable and was reset") == 1


def test_the_file_stays_within_a_page_and_what_a_longer_state_left_is_not_read(store, clock):
    store.pause(1, "每小时的请求次数已用完。" * 50)
    rates = Limits(1000, 100_000).rates
    clock.time = 30 * 24 * 3600.0
    end = clock.time + HOUR
    while clock.time < end:
        clock.time += 0.01 if take(store, rates).allowed and clock.time > end - 10 else 10
    longest = store.path.stat().st_size
    assert longest < 4096
    clock.time += HOUR
    store.pause(1, "short")
    assert take(store, rates).allowed
    assert store.path.stat().st_size == longest
    assert store.paused() == (1.0, "short")


def test_a_folder_that_is_a_file_is_named(tmp_path, clock):
    (tmp_path / "file").touch()
    store = FileStore(tmp_path / "file" / "c.json", clock.now)
    for call in (lambda: take(store), store.paused, lambda: store.pause(1, "")):
        with pytest.raises(RateLimitUnavailable, match=r"file/c\.json cannot be read or written"):
            call()


def test_it_is_a_store_of_pyrate_limiter(store):
    assert store.read(SlidingWindow(), RATES) == (0, 0)
    assert take(store).allowed
    assert store.read(SlidingWindow(), RATES) != (0, 0)
    store.reset()
    assert store.read(SlidingWindow(), RATES) == (0, 0)


def test_a_pause_ends_early_as_the_store_says(store):
    store.pause(600, "quota used up")
    assert store.paused() == (600, "quota used up")
    action, _, path = store.to_resume.rpartition(" ")
    assert action == "delete the file"
    Path(path).unlink()
    assert store.paused() == (0, "")
