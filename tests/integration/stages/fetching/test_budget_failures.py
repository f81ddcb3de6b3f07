"""What the budget does when clocks jump, processes die, and its file or its Redis is not there."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from fanfold.errors import BadConfiguration, BudgetUnavailable, QuotaSpent
from fanfold.messages import Message
from fanfold.stages.fetching.budget import Unlimited, file_store, gate, open_budget
from fanfold.stages.fetching.budget.file_store import FileStore, Instant
from fanfold.stages.fetching.budget.pacing import HOUR, SECOND, Lease, Refusal, Terms

MINUTE = 60 * SECOND
LOCKER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


class Clock:
    """A machine's clocks, moved by hand."""

    def __init__(self):
        self.boot, self.monotonic, self.wall = "first", 5 * HOUR, 1_800_000_000 * SECOND

    def __call__(self):
        return Instant(self.boot, self.monotonic, self.wall)

    def sleep(self, time):
        self.monotonic += time
        self.wall += time

    def boot_again(self, *, after):
        """Start the machine anew; the wall clock says that it took so long."""
        self.boot, self.monotonic = "second", 0
        self.wall += after


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spent(tmp_path, clock):
    """A store whose hour of 10 requests has just been spent."""
    store = FileStore(tmp_path / "c.json", Terms.of(5, 10), clock)
    for _ in range(10):
        assert isinstance(store.take(1, (), 0).given, Lease)
        clock.sleep(SECOND)
    return store


def wait_of(store):
    """Return the microseconds that the store wants a task to wait for the hour."""
    given = store.take(1, (), 0).given
    assert isinstance(given, Refusal)
    assert given.why == "hour"
    return given.wait


@pytest.mark.parametrize("jump", [-60 * MINUTE, 60 * MINUTE, -(10**6) * SECOND])
def test_a_wall_clock_that_jumps_changes_nothing(spent, clock, jump):
    before = wait_of(spent)
    clock.wall += jump
    assert wait_of(spent) == before


@pytest.mark.parametrize(("after", "left"), [(20, 40), (-60, 60), (0, 60)])
def test_after_a_boot_the_hour_goes_on_by_the_wall_clock(spent, clock, after, left):
    """Set back, it says nothing: then no time has passed, and the hour is over in an hour."""
    clock.boot_again(after=after * MINUTE)
    assert left * MINUTE - 15 * SECOND < wait_of(spent) <= left * MINUTE + 2 * SECOND
    clock.sleep(left * MINUTE + 2 * SECOND)
    assert isinstance(spent.take(1, (), 0).given, Lease)


def test_after_a_boot_that_took_long_nothing_waits(spent, clock):
    clock.boot_again(after=90 * MINUTE)
    assert isinstance(spent.take(1, (), 0).given, Lease)


def test_a_hold_ends_although_the_machine_was_booted(tmp_path, clock):
    store = FileStore(tmp_path / "c.json", Terms.of(5, None), clock)
    store.hold(600, "the source said so")
    clock.boot_again(after=-60 * MINUTE)
    assert store.look().given.wait == 600 * SECOND
    clock.sleep(601 * SECOND)
    assert store.look().given is None


def test_a_redis_whose_clock_was_set_back_neither_waits_an_hour_nor_forgets(redis_server, tmp_path):
    """The state is put an hour into the future, which is the same."""
    stop = threading.Event()
    options = {"redis_url": redis_server.url, "patience": 5.0}
    with open_budget(tmp_path, "c", 50, 100, **options) as budget:
        assert all(budget.acquire(stop) for _ in range(99))
    script = """
    local state = cmsgpack.unpack(redis.call('GET', KEYS[1]))
    local hour = 3600 * 1000000
    state.at = state.at + hour
    for _, lane in pairs(state.lanes) do
        lane[1] = lane[1] + hour
        for _, cell in ipairs(lane[2]) do cell[1] = cell[1] + hour end
    end
    for _, cell in ipairs(state.hour) do cell[1] = cell[1] + hour end
    redis.call('SET', KEYS[1], cmsgpack.pack(state))
    """
    redis_server.run("EVAL", script, 1, "fanfold:budget:1:c")
    with open_budget(tmp_path, "c", 50, 100, **options) as budget:
        assert budget.acquire(stop)
        with pytest.raises(QuotaSpent) as spent:
            budget.acquire(stop)
    assert 3500 < (spent.value.reset_at - datetime.now(UTC)).total_seconds() < 3602


def test_a_killed_process_does_not_keep_the_lock(tmp_path):
    stop = threading.Event()
    with open_budget(tmp_path, "c", 1000, None) as budget:
        assert budget.acquire(stop)
        with locker(tmp_path) as process:
            process.kill()
            process.wait()
            assert budget.acquire(stop)


def test_a_stopped_process_that_keeps_the_lock_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(file_store, "_LOCK_SECONDS", 0.2)
    monkeypatch.setattr(gate, "_AWAY", 0.3)
    with open_budget(tmp_path, "c", 1000, None) as budget:
        with locker(tmp_path) as process:
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(BudgetUnavailable, match=r"c\.json has been locked for 0\.2 s"):
                budget.acquire(threading.Event())
            process.send_signal(signal.SIGCONT)
        assert budget.acquire(threading.Event())


def locker(folder):
    """Start a process that holds the lock of connection c."""
    command = [sys.executable, "-c", LOCKER, str(folder / "c.json.lock")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4096, b"not a budget\n", b'{"at": 1}\n', b"[1, 2]\n", b'{"boot":"x","at":17'],
)
def test_a_broken_file_is_made_anew_and_nobody_asks_for_a_window(tmp_path, content, caplog):
    with open_budget(tmp_path, "c", 50, None) as budget:
        assert budget.acquire(threading.Event())
        (tmp_path / "c.json").write_bytes(content)
        start = time.monotonic()
        # One slot may be leased already.
        assert all(budget.acquire(threading.Event()) for _ in range(2))
        assert time.monotonic() - start > 0.9
    assert "c.json was unreadable and begins anew" in caplog.text


def test_a_folder_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "_AWAY", 0.1)
    (tmp_path / "file").touch()
    with (
        open_budget(tmp_path / "file", "c", 5, None) as budget,
        pytest.raises(BudgetUnavailable, match=r"file/c\.json cannot be read or written"),
    ):
        budget.acquire(threading.Event())


@pytest.mark.parametrize("rates", [(None, None), (1000, None)])
@pytest.mark.parametrize("store", ["file", "redis"])
def test_a_hold_is_for_everybody_and_the_longest_counts(tmp_path, request, store, rates):
    url = request.getfixturevalue("redis_server").url if store == "redis" else None
    stop = threading.Event()
    with (
        open_budget(tmp_path, "c", *rates, redis_url=url, patience=5.0) as one,
        open_budget(tmp_path, "c", *rates, redis_url=url, patience=5.0) as other,
        open_budget(tmp_path, "another", *rates, redis_url=url, patience=5.0) as apart,
    ):
        assert other.acquire(stop)
        one.hold(100, Message("quota 10022 is used up", "x", {"n": 1}))
        one.hold(1, Message("a second"))
        with pytest.raises(QuotaSpent, match="quota 10022 is used up") as told:
            acquire_until_refused(other)
        assert (told.value.message.id, told.value.message.params) == ("x", {"n": 1})
        assert 80 < (told.value.reset_at - datetime.now(UTC)).total_seconds() <= 100
        assert apart.acquire(stop)


def acquire_until_refused(budget):
    """Ask for so long as anything leased or looked up before may last."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        budget.acquire(threading.Event())


@pytest.mark.parametrize("shared", [True, False])
def test_a_short_hold_is_waited_for(tmp_path, shared):
    stop = threading.Event()
    if shared:
        with open_budget(tmp_path, "c", None, None) as budget:
            wait_for_hold(budget, stop)
    else:
        wait_for_hold(Unlimited(), stop)


def wait_for_hold(budget, stop):
    start = time.monotonic()
    budget.hold(0.5, Message("a moment"))
    assert budget.acquire(stop)
    assert time.monotonic() - start >= 0.5
    budget.hold(30, Message("long"))
    threading.Timer(0.2, stop.set).start()
    assert not budget.acquire(stop)


def test_without_a_budget_no_file_is_made(tmp_path):
    with open_budget(tmp_path / "none", "c", None, None) as budget:
        assert all(budget.acquire(threading.Event()) for _ in range(1000))
    assert not (tmp_path / "none").exists()


def test_connections_have_budgets_of_their_own(tmp_path):
    stop = threading.Event()
    with (
        open_budget(tmp_path, "a", None, 1) as one,
        open_budget(tmp_path, "b/../a", None, 1) as other,
    ):
        assert one.acquire(stop)
        assert other.acquire(stop)
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_two_hundred_threads_stop_at_once(tmp_path):
    stop = threading.Event()
    left = []
    with open_budget(tmp_path, "c", 0.1, None) as budget:
        threads = [
            threading.Thread(target=lambda: left.append(budget.acquire(stop))) for _ in range(200)
        ]
        for thread in threads:
            thread.start()
        before = time.process_time()
        time.sleep(1)  # what is looked at is what they do while they wait
        spent = time.process_time() - before
        stop.set()
        start = time.monotonic()
        for thread in threads:
            thread.join()
    assert left.count(True) <= 1
    assert len(left) == 200
    assert time.monotonic() - start < 10
    # Polling a hundred times a second, they would have taken all of it.
    assert spent < 0.4


def test_a_redis_that_stays_away_is_named_without_its_password(redis_server, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "_AWAY", 0.5)
    with open_budget(tmp_path, "c", 50, None, redis_url=redis_server.url) as budget:
        assert budget.acquire(threading.Event())
        redis_server.stop()
        with pytest.raises(BudgetUnavailable, match="FANFOLD_RATE_LIMIT_URL") as told:
            acquire_until_refused(budget)
        assert f"127.0.0.1:{redis_server.port}" in str(told.value)
        assert "s3cret" not in repr(told.value) + repr(told.value.__cause__)


def test_a_redis_that_comes_back_is_waited_for(redis_server, tmp_path):
    with open_budget(tmp_path, "c", 50, None, redis_url=redis_server.url) as budget:
        assert budget.acquire(threading.Event())
        redis_server.stop()
        threading.Timer(0.5, redis_server.start).start()
        assert all(budget.acquire(threading.Event()) for _ in range(100))


@pytest.mark.parametrize(
    "url",
    ["localhost:6379", "http://:s3cret@localhost", "redis://:s3/cret@localhost:6379/0", "rubbish"],
)
def test_what_is_no_address_of_a_redis_is_refused_without_being_told(tmp_path, url):
    with (
        pytest.raises(BadConfiguration, match="FANFOLD_RATE_LIMIT_URL is not the address") as told,
        open_budget(tmp_path, "c", 50, None, redis_url=url),
    ):
        pass
    assert "s3" not in str(told.value)
    assert told.value.__cause__ is None


@pytest.mark.parametrize("url", ["redis://:wrong@{place}/0", "redis://{place}/0", "{right}99"])
def test_a_redis_that_refuses_is_a_wrong_configuration(redis_server, tmp_path, url):
    place = f"127.0.0.1:{redis_server.port}"
    url = url.format(place=place, right=redis_server.url)
    with (
        open_budget(tmp_path, "c", 50, None, redis_url=url) as budget,
        pytest.raises(BadConfiguration, match=f"FANFOLD_RATE_LIMIT_URL \\({place}\\)") as told,
    ):
        budget.acquire(threading.Event())
    assert "wrong" not in str(told.value)


def test_what_a_longer_state_left_behind_in_the_file_is_not_read(tmp_path, clock):
    store = FileStore(tmp_path / "c.json", Terms.of(500, 1000), clock)
    store.hold(1, "x" * 5000)
    longer = store.path.stat().st_size
    clock.sleep(HOUR)
    store.hold(1, "short")
    assert store.path.stat().st_size == longer < 4096
    assert store.look().given.reason == "short"
