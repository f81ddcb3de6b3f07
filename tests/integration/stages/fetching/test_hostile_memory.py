"""What the fetching process holds in memory while 16 threads read answers that are too large."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fanfold.simulator.process import running

FETCH = """
import contextlib, json, sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from fanfold.errors import BatchIncomplete
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.workers import WorkerPool
from fanfold.rate_limit import Unlimited
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import ApiSession
from fanfold.workspace.files import write_jsonl
from fanfold.workspace.paths import Workspace
from pipelines._weibo_api import API

def fetch(folder, uids):
    workspace = Workspace(Path(folder))
    write_jsonl(workspace.batch(0).items_file, uids)
    endpoint = Endpoint("hostile_default", sys.argv[1], token=sys.argv[2], read_timeout=0.3)
    with ApiSession(API, endpoint, as_of=datetime.now(UTC)) as session:
        workers = partial(WorkerPool, session, Unlimited(), concurrency=16,
                          backoff=Backoff(attempts=1))
        with contextlib.suppress(BatchIncomplete):
            fetch_batch(workspace.batch(0), workers, version="0000000a")
    return workspace.batch(0).outcomes()

def peak():  # not ru_maxrss, which includes what the parent process had at the start
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

fetch(sys.argv[3] + "/right", [str(1404370000 + number) for number in range(64)])
before = peak()
outcomes = fetch(sys.argv[3] + "/hostile", json.load(sys.stdin))
json.dump({
    "growth": peak() - before,
    "statuses": sorted({outcome.status for outcome in outcomes.values()}),
    "outcomes": len(outcomes),
}, sys.stdout)
"""
UIDS = [str(1404376560 + number) for number in range(64)]


@pytest.fixture(scope="module")
def server():
    with running("--huge-bytes", str(2**30), "--bomb-bytes", str(2**30)) as simulator:
        yield simulator


LARGE = ["huge", "endless", "gzip_bomb", "gzip_nested", "endless_chunk_size", "deep_json"]


def test_hostile_bodies_take_no_memory(server, tmp_path):
    """64 responses of 1 GB or without an end, 16 at a time: 8 MiB of each are held at most."""
    uids = {uid: LARGE[number % len(LARGE)] for number, uid in enumerate(UIDS)}
    server.control(uids=uids, slow_s=0.1, trickle_s=0.1, retry_after_s=0)
    command = [sys.executable, "-c", FETCH, server.url, server.token, str(tmp_path)]
    said = subprocess.run(
        command, input=json.dumps(UIDS), stdout=subprocess.PIPE, text=True, check=True, timeout=120
    )
    result = json.loads(said.stdout)
    assert result["outcomes"] == 64
    assert result["statuses"] == ["failed"]
    assert result["growth"] < 100_000_000
