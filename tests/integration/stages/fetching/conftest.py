"""The simulator, and a batch that is fetched from it."""

from __future__ import annotations

from functools import partial

import pytest

from fanfold import sources
from fanfold.rate_limit import Unlimited
from fanfold.simulator.process import running
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import Session
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.backoff import Backoff
from fanfold.workspace.files import write_jsonl
from fanfold.workspace.paths import Workspace

QUICK = Backoff(attempts=4, first=0.02, cap=0.1, max_probe_wait=0.2, max_outage=60)


@pytest.fixture(scope="session")
def server():
    """One simulator: a huge response has 1 GB, and the token occurs nowhere else."""
    with running("--huge-bytes", str(2**30), "--token", "secret-of-the-test") as simulator:
        yield simulator


@pytest.fixture
def simulator(server):
    """The simulator, with its settings and counters as at the start."""
    server.reset()
    return server


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "run")


@pytest.fixture(scope="session")
def fetch_from():
    """``fetch_from(workspace, simulator, keys, ...)``: fetch a batch of items."""

    def fetch(
        workspace,
        simulator,
        keys,
        *,
        batch=0,
        source="weibo",
        token=None,
        read_timeout=2,
        several=1,
        **options,
    ):
        write_jsonl(workspace.batch(batch).items_file, keys)
        endpoint = Endpoint(
            f"{source}_default",
            simulator.url,
            token=token or simulator.token,
            read_timeout=read_timeout,
            items_per_request=several,
        )
        arguments = {"concurrency": 8, "limiter": Unlimited(), "backoff": QUICK, **options}
        with Session(sources.get(source), endpoint) as session:
            return fetch_batch(workspace.batch(batch), session, **arguments)

    return fetch


@pytest.fixture
def fetch(fetch_from, workspace, simulator):
    """``fetch(keys, ...)``: fetch a batch of this test's workspace."""
    return partial(fetch_from, workspace, simulator)
