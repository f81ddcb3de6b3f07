"""The simulator, and a batch that is fetched from it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from fanfold.rate_limit import Unlimited
from fanfold.simulator.process import running
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import ApiSession
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.workers import WorkerPool
from fanfold.workspace.files import write_jsonl
from fanfold.workspace.paths import Workspace
from pipelines import _mastodon_api, _weibo_api

APIS = {"weibo": _weibo_api.API, "mastodon": _mastodon_api.API}
AS_OF = datetime(2026, 8, 1, tzinfo=UTC)
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
    """``fetch_from(workspace, server, keys, ...)``: fetch a batch of items."""

    def fetch(
        workspace,
        simulator,
        keys,
        *,
        batch=0,
        api="weibo",
        token=None,
        read_timeout=2,
        several=1,
        limiter=None,
        concurrency=8,
        backoff=QUICK,
        version="0000000a",
        **options,
    ):
        write_jsonl(workspace.batch(batch).items_file, keys)
        source = APIS[api] if isinstance(api, str) else api
        endpoint = Endpoint(
            "test_default",
            simulator.url,
            token=token or simulator.token,
            read_timeout=read_timeout,
            items_per_request=several,
        )
        with ApiSession(source, endpoint, as_of=AS_OF) as session:
            workers = partial(
                WorkerPool,
                session,
                limiter or Unlimited(),
                concurrency=concurrency,
                backoff=backoff,
            )
            return fetch_batch(workspace.batch(batch), workers, version=version, **options)

    return fetch


@pytest.fixture(scope="session")
def records_of():
    """``records_of(workspace)``: the records of the items of the first batch, by key."""

    def records_of(workspace, batch=0):
        fetched = workspace.batch(batch).fetched(1000)
        return {outcome.key: records for part in fetched for outcome, records in part}

    return records_of


@pytest.fixture
def fetch(fetch_from, workspace, simulator):
    """``fetch(keys, ...)``: fetch a batch of this test's workspace."""
    return partial(fetch_from, workspace, simulator)
