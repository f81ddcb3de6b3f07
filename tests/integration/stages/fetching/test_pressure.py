"""Fetch under pressure: short quotas, an unavailable source, requests for several items."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from fanfold.errors import BatchIncomplete, QuotaSpent
from fanfold.model import Status
from fanfold.rate_limit import open_rate_limiter
from fanfold.simulator.process import running
from fanfold.stages.fetching import workers

UIDS = [str(1404376560 + number) for number in range(60)]
SINGLE, BATCH = "/2/users/show.json", "/2/users/show_batch/other.json"


def asked(simulator, path):
    return simulator.stats()["paths"].get(path, 0)


# quotas


def test_a_short_quota_is_waited_for_and_no_item_is_lost(fetch, simulator):
    """40 requests in each window of a second: 60 users need two of them."""
    simulator.control(quota_per_hour=40, quota_window_s=1)
    tally = fetch(UIDS)
    assert tally.count(Status.OK) == len(UIDS)
    assert tally.requests == asked(simulator, SINGLE)


def test_a_spent_quota_stops_all_tasks_of_the_connection(fetch, simulator, tmp_path):
    simulator.control(quota_per_hour=20, quota_window_s=3600)
    sent = []
    for batch, uids in enumerate((UIDS[:30], UIDS[30:])):
        with (
            open_rate_limiter(tmp_path, "weibo_default", None, None) as limiter,
            pytest.raises(QuotaSpent),
        ):
            fetch(uids, batch=batch, limiter=limiter)
        sent.append(asked(simulator, SINGLE))
    assert sent[0] == sent[1] > 0


def test_quota_headers_pause_all_requests_before_one_is_refused(fetch, workspace, simulator):
    simulator.control(quota_per_hour=10, quota_window_s=3600)
    with pytest.raises(QuotaSpent) as caught:
        fetch([f"user{number}" for number in range(20)], api="mastodon", concurrency=1)
    assert caught.value.reset_at is not None
    assert simulator.stats()["statuses"].get("429", 0) == 0
    assert len(workspace.batch(0).outcomes()) == 10


def test_retry_after_pauses_the_requests_for_all_items(fetch, simulator):
    simulator.control(uids={UIDS[0]: "http_503"}, first_attempts=1, retry_after_s=1)
    start = time.monotonic()
    tally = fetch(UIDS, concurrency=1)
    assert tally.count(Status.OK) == len(UIDS)
    assert time.monotonic() - start >= 1
    assert simulator.stats()["statuses"]["503"] == 1


def test_a_user_whose_every_request_meets_a_quota_fails(fetch, workspace, simulator, monkeypatch):
    monkeypatch.setattr(workers, "MAX_QUOTA_ERRORS", 2)
    simulator.control(uids={"alice": "http_429"}, retry_after_s=0)
    with pytest.raises(BatchIncomplete, match="alice"):
        fetch(["alice", "bob"], api="mastodon")
    assert workspace.batch(0).outcomes()["bob"].status is Status.OK


# outages


@contextmanager
def nothing_but_resets(port):
    """Break off each connection to a port; yield a counter of them."""
    broken = []
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(0.05)
        ended = threading.Event()

        def break_off():
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    listener.accept()[0].close()
                    broken.append(time.monotonic())

        thread = threading.Thread(target=break_off)
        thread.start()
        try:
            yield broken
        finally:
            ended.set()
            thread.join()


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_unavailable_source_is_waited_for_and_costs_no_attempts(fetch_from, workspace):
    """The server is killed in mid-run and comes back on the same port after many refusals."""
    done = {}

    def run(simulator):
        done["tally"] = fetch_from(workspace, simulator, UIDS)

    with running() as first:
        port = first.url.rsplit(":", 1)[1]
        first.control(latency_ms=50)
        thread = threading.Thread(target=run, args=(first,))
        thread.start()
        wait_for(lambda: first.stats()["requests"] >= 10)
        os.kill(first.pid, signal.SIGKILL)
    with nothing_but_resets(int(port)) as broken:
        # One user in turn, each with four attempts: enough to fail many, were it taken for theirs.
        wait_for(lambda: len(broken) >= 40)
        # Not a storm: after the first ones, pauses of 0.1 to 0.2 s with two looks in each.
        assert broken[39] - broken[19] > 0.5
    with running("--port", port) as second:
        thread.join(timeout=30)
        assert not thread.is_alive()
        assert second.stats()["requests"] > 0
    assert done["tally"].count(Status.OK) == len(UIDS)


# several items at once


def test_several_users_are_requested_at_once_up_to_the_limit_of_the_source(
    fetch, workspace, simulator, records_of
):
    uids = [str(1404376560 + number) for number in range(1250)]
    tally = fetch(uids, several=1000)
    assert tally.count(Status.OK) == 1250
    assert tally.requests == asked(simulator, BATCH) == 25
    ids = {
        key: [str(record["id"]) for record in each] for key, each in records_of(workspace).items()
    }
    assert ids == {uid: [uid] for uid in uids}


def test_users_omitted_from_an_answer_are_requested_singly_before_they_are_missing(
    fetch, workspace, simulator
):
    tally = fetch(["7", *UIDS[:48], "8"], several=50)
    assert (tally.count(Status.OK), tally.count(Status.MISSING)) == (48, 2)
    assert asked(simulator, SINGLE) == 2
    assert tally.requests == simulator.stats()["requests"] == 3
    assert workspace.batch(0).outcomes()["7"].attempts == 2


def test_a_failing_request_for_several_items_is_split(fetch, simulator):
    simulator.control(paths={BATCH: "10017"})
    tally = fetch(UIDS[:20], several=50)
    assert tally.count(Status.OK) == 20
    assert tally.requests == simulator.stats()["requests"] == 21


def test_a_source_without_such_a_call_gets_single_requests(fetch):
    tally = fetch(["alice", "bob"], api="mastodon", several=50)
    assert tally.count(Status.OK) == tally.requests == 2
