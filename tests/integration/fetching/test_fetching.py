"""Fetch against the simulator: what it asks for, keeps, repeats and leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fanfold import sources
from fanfold.errors import BatchIncomplete, CredentialRefused, QuotaSpent, SourceBusy
from fanfold.fetching import fetch_batch
from fanfold.fetching.backoff import Backoff
from fanfold.fetching.budget import Unlimited
from fanfold.model import Status
from fanfold.parts import outcomes_of, records_of
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.http import Client
from fanfold.workspace import Workspace, read_json, write_jsonl

UIDS = [str(1404376560 + number) for number in range(40)]
QUICK = Backoff(attempts=4, first=0.01, cap=0.05, away_cap=0.2, away_patience=0.5)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def fetch(workspace, simulator, uids=UIDS, *, token=None, source="weibo", **options):
    write_jsonl(workspace.items(0), uids)
    endpoint = Endpoint(
        "weibo_default", simulator.url, token=token or simulator.token, read_timeout=2
    )
    arguments = {"concurrency": 8, "budget": Unlimited(), "backoff": QUICK, **options}
    with Client(sources.get(source), endpoint) as client:
        return fetch_batch(workspace, 0, client, **arguments)


def requests(simulator):
    return simulator.stats()["requests"]


def test_each_user_is_asked_for_once(workspace, simulator):
    tally = fetch(workspace, simulator)
    assert tally.count(Status.OK) == len(UIDS) == tally.requests == requests(simulator)
    records = records_of(workspace, 0)
    assert {key: str(record["id"]) for key, record in records.items()} == {u: u for u in UIDS}
    progress = read_json(workspace.progress(0))
    assert (progress["planned"], progress["ok"], progress["requests"]) == (40, 40, 40)


def test_a_second_fetch_asks_for_nothing(workspace, simulator):
    fetch(workspace, simulator)
    simulator.reset()
    fetch(workspace, simulator)
    assert requests(simulator) == 0


def test_an_unknown_user_is_missing_and_not_asked_for_again(workspace, simulator):
    tally = fetch(workspace, simulator, ["1404376560", "7"])
    assert tally.count(Status.MISSING) == 1
    assert "no user 7" in outcomes_of(workspace, 0)["7"].reason
    simulator.reset()
    fetch(workspace, simulator, ["1404376560", "7"])
    assert requests(simulator) == 0


@pytest.mark.parametrize(
    "fault", ["busy", "http_500", "http_502", "drop", "drop_mid", "truncated", "not_json"]
)
def test_a_fault_that_passes_costs_attempts_and_no_user(workspace, simulator, fault):
    simulator.control(uids={UIDS[3]: fault, UIDS[7]: fault}, first_attempts=2)
    tally = fetch(workspace, simulator)
    assert tally.count(Status.OK) == len(UIDS)
    assert tally.outcomes[UIDS[3]].attempts == 3
    assert tally.requests == requests(simulator) == len(UIDS) + 4


def test_a_fault_that_stays_fails_that_user_alone_and_a_retry_asks_only_for_it(
    workspace, simulator
):
    simulator.control(uids={UIDS[3]: "http_500"})
    with pytest.raises(BatchIncomplete, match=rf"1 of 40 items failed.*{UIDS[3]}"):
        fetch(workspace, simulator)
    assert outcomes_of(workspace, 0)[UIDS[3]].attempts == 4
    simulator.reset()
    tally = fetch(workspace, simulator)
    assert tally.count(Status.OK) == len(UIDS)
    assert requests(simulator) == 1
    assert tally.outcomes[UIDS[3]].attempts == 5


@pytest.mark.parametrize("fault", ["http_503", "http_429"])
def test_retry_after_is_waited_for(workspace, simulator, fault):
    simulator.control(uids={UIDS[0]: fault}, first_attempts=1, retry_after_s=1)
    tally = fetch(workspace, simulator, UIDS[:2])
    assert tally.count(Status.OK) == 2


def test_a_refused_token_stops_at_once(workspace, simulator):
    with pytest.raises(CredentialRefused, match="21332"):
        fetch(workspace, simulator, token="wrong-token")
    assert requests(simulator) <= 8


def test_a_token_that_expires_midway_keeps_what_came(workspace, simulator):
    simulator.control(token_expires_after=20)
    with pytest.raises(CredentialRefused, match="21327"):
        fetch(workspace, simulator)
    assert len(records_of(workspace, 0)) == 20
    simulator.reset()
    fetch(workspace, simulator)
    assert requests(simulator) == 20


@pytest.mark.parametrize("code", [10022, 10023, 10024])
def test_a_spent_quota_keeps_what_came_and_tells_the_reset(workspace, simulator, code):
    simulator.control(quota_per_hour=15, quota_window_s=3600, quota_code=code)
    with pytest.raises(QuotaSpent, match=str(code)) as caught:
        fetch(workspace, simulator)
    assert timedelta(0) < caught.value.reset_at - datetime.now(UTC) <= timedelta(seconds=3602)
    assert len(records_of(workspace, 0)) == 15
    endpoint = Endpoint("weibo_default", simulator.url, token=simulator.token)
    with Client(sources.get("weibo"), endpoint) as client:
        quota = client.source.quota(client)
    assert quota.remaining == 0
    assert 0 < quota.reset_in <= 3600


def test_the_token_is_in_no_message_and_no_file(workspace, simulator):
    simulator.control(uids={UIDS[0]: "drop", UIDS[1]: "http_502", UIDS[2]: "busy"})
    with pytest.raises(BatchIncomplete) as caught:
        fetch(workspace, simulator, UIDS[:4])
    written = "".join(
        path.read_text() for path in workspace.root.rglob("*.json*") if path.suffix != ".gz"
    )
    assert simulator.token not in str(caught.value)
    assert simulator.token not in written


def test_mastodon_accounts_are_fetched_by_the_same_stage(workspace, simulator):
    tally = fetch(workspace, simulator, ["alice", "bob", "nobody1"], source="mastodon")
    assert (tally.count(Status.OK), tally.count(Status.MISSING)) == (2, 1)


def test_mastodons_spent_quota_tells_its_reset(workspace, simulator):
    simulator.control(quota_per_hour=2, quota_window_s=3600)
    with pytest.raises(QuotaSpent) as caught:
        fetch(workspace, simulator, ["a", "b", "c"], source="mastodon", concurrency=1)
    assert caught.value.reset_at is not None
    assert len(records_of(workspace, 0)) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("huge", "larger than"),
        ("endless", "larger than|given up"),
        ("slow", "no answer in time"),
        ("drop", "the connection failed"),
        ("drop_mid", "cut off|connection failed"),
        ("truncated", "not JSON"),
        ("http_502", "HTTP 502"),
    ],
)
def test_an_answer_that_is_none_is_told_apart_in_the_reason(workspace, simulator, fault, said):
    simulator.control(uids={UIDS[0]: fault}, slow_s=5)
    with pytest.raises(BatchIncomplete, match=said):
        fetch(workspace, simulator, UIDS[:1], backoff=Backoff(attempts=1))


def test_a_dead_host_fails_the_batch_and_no_item_so_that_a_retry_finds_them_all(workspace):
    write_jsonl(workspace.items(0), UIDS[:2])
    endpoint = Endpoint("weibo_default", "http://127.0.0.1:1", token="t")
    with (
        Client(sources.get("weibo"), endpoint) as client,
        pytest.raises(SourceBusy, match="the connection failed"),
    ):
        fetch_batch(workspace, 0, client, concurrency=2, budget=Unlimited(), backoff=QUICK)
    assert outcomes_of(workspace, 0) == {}
