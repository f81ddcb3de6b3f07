"""Limits that change while a batch is fetched, and what its log and progress say meanwhile."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from fanfold.errors import SourceBusy
from fanfold.messages import ENGINE
from fanfold.rate_limit import Unlimited
from fanfold.sources import Reply
from fanfold.stages.fetching import fetch_batch, parts, progress
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.workers import WorkerPool
from fanfold.workspace.items import json_lines
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import all_progress


class Source:
    """A source that answers one request for each release of ``gate``; ``busy`` ones with 503, once.

    Attributes:
        in_flight: Number of requests that wait for their response.
        starts: This number at the start of each request.
    """

    items_per_request = 1

    def __init__(self):
        self.gate = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.in_flight = 0
        self.starts = []
        self.busy = set()

    def fetch(self, items, page):
        assert page is None
        [item] = items
        with self.lock:
            self.in_flight += 1
            self.starts.append(self.in_flight)
        assert self.gate.acquire(timeout=30)
        with self.lock:
            self.in_flight -= 1
        if item.key in self.busy:
            self.busy.discard(item.key)
            raise SourceBusy(
                ENGINE.message("http.unexpected", status=503, path="/"), overloaded=True
            )
        return Reply({item.key: ({},)}, {})


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


@pytest.fixture
def fetch(workspace, source, monkeypatch):
    """``fetch(items, …)``: fetch a batch; ``changed`` is called every few milliseconds."""
    monkeypatch.setattr(parts, "PART_SECONDS", 0.0)

    def fetch(items, *, log=lambda _: None, **options):
        batch = workspace.batch(0)
        batch.items_file.parent.mkdir(parents=True, exist_ok=True)
        batch.items_file.write_bytes(json_lines([str(key) for key in range(items)]))
        pool = partial(WorkerPool, source, Unlimited(), backoff=Backoff(first=0.001), **options)
        return fetch_batch(batch, pool, version="0000000a", places=["https://api.example"], log=log)

    return fetch


def test_a_running_fetch_takes_over_a_higher_and_a_lower_concurrency(fetch, source):
    changes = [(2, 4), (4, 1)]

    def changed():
        if not changes:
            # Those that were sent before have no response yet.
            source.starts.clear()
            source.gate.release(1000)
            changes.append((None, None))
        if source.in_flight == changes[0][0]:
            return changes.pop(0)[1]
        source.gate.release()
        return None

    fetch(60, concurrency=2, changed=changed)
    assert changes == [(None, None)]
    assert set(source.starts) == {1}


def test_the_log_and_the_progress_say_why_fewer_requests_are_in_flight(
    fetch, source, workspace, monkeypatch
):
    monkeypatch.setattr(progress, "LOG_S", 0.0)
    source.busy = {"0"}
    said, seen = [], []

    def changed():
        now = all_progress(workspace)[0]
        if now.slowed_by == "503" and not seen:
            seen.append(now)
        source.gate.release(1000 if seen else 1)

    fetch(60, concurrency=8, changed=changed, log=said.append)
    assert said[0] == "Fetching 60 of 60 items from https://api.example."
    lines = [line for line in said if "in flight, slowed by 503; retries: 1 × 503" in line]
    assert lines
    assert " of 60 items (" in lines[0]
    assert said[-1].startswith("60 items: 60 ok; 61 requests in ")
    assert (seen[0].allowed, dict(seen[0].retries)) == (8, {"503": 1})
    assert 0 < seen[0].in_flight <= 8
    ended = all_progress(workspace)[0]
    assert (ended.in_flight, ended.allowed, ended.slowed_by) == (None, None, None)
