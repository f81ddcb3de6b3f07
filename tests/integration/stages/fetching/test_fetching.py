"""Fetch against the simulator: what it requests, keeps, retries and skips."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fanfold import sources
from fanfold.errors import (
    BatchIncomplete,
    CredentialRefused,
    LeftFailed,
    QuotaSpent,
    SourceBusy,
)
from fanfold.model import Status
from fanfold.rate_limit import Unlimited
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import Session
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.backoff import Backoff
from fanfold.workspace.files import read_json, write_jsonl
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import all_progress
from fanfold.workspace.redrive import Selection, forget_selections, selection_of, write_selection

UIDS = [str(1404376560 + number) for number in range(40)]
QUICK = Backoff(attempts=4, first=0.01, cap=0.05, max_probe_wait=0.2, max_outage=0.5)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def fetch(workspace, simulator, uids=UIDS, *, token=None, source="weibo", **options):
    write_jsonl(workspace.batch(0).items_file, uids)
    endpoint = Endpoint(
        "weibo_default", simulator.url, token=token or simulator.token, read_timeout=2
    )
    arguments = {"concurrency": 8, "limiter": Unlimited(), "backoff": QUICK, **options}
    with Session(sources.get(source), endpoint) as session:
        return fetch_batch(workspace.batch(0), session, **arguments)


def requests(simulator):
    return simulator.stats()["requests"]


def test_each_user_is_requested_once(workspace, simulator):
    tally = fetch(workspace, simulator)
    assert tally.count(Status.OK) == len(UIDS) == tally.requests == requests(simulator)
    records = workspace.batch(0).records()
    assert {key: str(record["id"]) for key, record in records.items()} == {u: u for u in UIDS}
    progress = read_json(workspace.batch(0).progress_file)
    assert (progress["planned"], progress["ok"], progress["requests"]) == (40, 40, 40)


def test_a_second_fetch_sends_no_request(workspace, simulator):
    fetch(workspace, simulator)
    simulator.reset()
    fetch(workspace, simulator)
    assert requests(simulator) == 0


def test_an_unknown_user_is_missing_and_not_requested_again(workspace, simulator):
    tally = fetch(workspace, simulator, ["1404376560", "7"])
    assert tally.count(Status.MISSING) == 1
    assert "no such user" in workspace.batch(0).outcomes()["7"].reason
    simulator.reset()
    fetch(workspace, simulator, ["1404376560", "7"])
    assert requests(simulator) == 0


@pytest.mark.parametrize(
    "fault", ["busy", "http_500", "http_502", "drop", "drop_mid", "truncated", "not_json"]
)
def test_a_transient_fault_costs_attempts_and_no_user(workspace, simulator, fault):
    simulator.control(uids={UIDS[3]: fault, UIDS[7]: fault}, first_attempts=2)
    tally = fetch(workspace, simulator)
    assert tally.count(Status.OK) == len(UIDS)
    assert tally.outcomes[UIDS[3]].attempts == 3
    assert tally.requests == requests(simulator) == len(UIDS) + 4


def test_a_permanent_fault_fails_one_user_and_a_retry_requests_only_that_one(workspace, simulator):
    simulator.control(uids={UIDS[3]: "http_500"})
    with pytest.raises(BatchIncomplete, match=rf"1 of 40 items failed.*{UIDS[3]}"):
        fetch(workspace, simulator)
    assert workspace.batch(0).outcomes()[UIDS[3]].attempts == 4
    simulator.reset()
    tally = fetch(workspace, simulator)
    assert tally.count(Status.OK) == len(UIDS)
    assert requests(simulator) == 1
    assert tally.outcomes[UIDS[3]].attempts == 5


def test_a_refused_token_stops_at_once(workspace, simulator):
    with pytest.raises(CredentialRefused, match="21332"):
        fetch(workspace, simulator, token="wrong-token")
    assert requests(simulator) <= 8


def test_an_expired_token_keeps_the_fetched_records(workspace, simulator):
    simulator.control(token_expires_after=20)
    with pytest.raises(CredentialRefused, match="21327"):
        fetch(workspace, simulator)
    assert len(workspace.batch(0).records()) == 20
    simulator.reset()
    fetch(workspace, simulator)
    assert requests(simulator) == 20


@pytest.mark.parametrize("code", [10022, 10023, 10024])
def test_a_spent_quota_keeps_the_fetched_records_and_reports_the_reset(workspace, simulator, code):
    simulator.control(quota_per_hour=15, quota_window_s=3600, quota_code=code)
    with pytest.raises(QuotaSpent, match=str(code)) as caught:
        fetch(workspace, simulator)
    assert timedelta(0) < caught.value.reset_at - datetime.now(UTC) <= timedelta(seconds=3602)
    assert len(workspace.batch(0).records()) == 15
    endpoint = Endpoint("weibo_default", simulator.url, token=simulator.token)
    with Session(sources.get("weibo"), endpoint) as session:
        quota = session.quota()
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


def test_mastodons_spent_quota_reports_the_reset(workspace, simulator):
    simulator.control(quota_per_hour=2, quota_window_s=3600)
    with pytest.raises(QuotaSpent) as caught:
        fetch(workspace, simulator, ["a", "b", "c"], source="mastodon", concurrency=1)
    assert caught.value.reset_at is not None
    assert len(workspace.batch(0).records()) == 2


def test_an_unreachable_host_fails_the_batch_and_no_item(workspace):
    write_jsonl(workspace.batch(0).items_file, UIDS[:2])
    endpoint = Endpoint("weibo_default", "http://127.0.0.1:1", token="t")
    with (
        Session(sources.get("weibo"), endpoint) as session,
        pytest.raises(SourceBusy, match="connection failed"),
    ):
        fetch_batch(workspace.batch(0), session, concurrency=2, limiter=Unlimited(), backoff=QUICK)
    assert workspace.batch(0).outcomes() == {}


def selected(workspace, *keys, clearing=3):
    return Selection(keys, workspace.batch(0).last_sequence(), clearing)


def asked(simulator):
    return simulator.stats(all_uids=True)["uids"]


def test_only_selected_items_are_requested_whatever_their_outcome(workspace, simulator):
    """An item that is here, one that was missing, and one of two that failed."""
    simulator.control(uids={UIDS[1]: "unknown", UIDS[2]: "http_500", UIDS[3]: "http_500"})
    with pytest.raises(BatchIncomplete):
        fetch(workspace, simulator)
    simulator.reset()
    with pytest.raises(LeftFailed, match=rf"1 of 40 items that failed earlier .*First: {UIDS[3]}"):
        fetch(workspace, simulator, selection=selected(workspace, *UIDS[:3]))
    assert asked(simulator) == dict.fromkeys(UIDS[:3], 1)
    statuses = {key: outcome.status for key, outcome in workspace.batch(0).outcomes().items()}
    assert statuses == dict.fromkeys(UIDS, Status.OK) | {UIDS[3]: Status.FAILED}


def test_a_retry_of_a_selection_requests_only_its_failed_items(workspace, simulator):
    fetch(workspace, simulator)
    simulator.reset()
    simulator.control(uids={UIDS[1]: "http_500"})
    choice = selected(workspace, UIDS[0], UIDS[1])
    with pytest.raises(BatchIncomplete, match=f"First: {UIDS[1]}"):
        fetch(workspace, simulator, selection=choice)
    simulator.reset()
    fetch(workspace, simulator, selection=choice)
    assert asked(simulator) == {UIDS[1]: 1}


def test_a_selection_belongs_to_one_clearing(workspace):
    assert selection_of(workspace.batch(0), 3) is None
    choice = Selection(("1", "\ud800"), 2, 3)
    write_selection(workspace.batch(0), choice)
    assert selection_of(workspace.batch(0), 3) == choice
    assert selection_of(workspace.batch(0), 10) is None
    forget_selections(workspace, [0, 1])
    assert selection_of(workspace.batch(0), 3) is None


def test_progress_has_counts_and_reasons(workspace, simulator):
    simulator.control(uids={UIDS[1]: "unknown", UIDS[2]: "http_500", UIDS[3]: "http_500"})
    with pytest.raises(BatchIncomplete):
        fetch(workspace, simulator)
    progress = all_progress(workspace)[0]
    counts = (progress.planned, progress.ok, progress.missing, progress.failed)
    assert counts == (40, 37, 1, 2)
    assert progress.requests == 38 + 2 * QUICK.attempts
    assert sum(items for _, items in progress.recent) == 40
    assert [(group["status"], group["count"]) for group in progress.reasons] == [
        ("failed", 2),
        ("missing", 1),
    ]
    simulator.control(uids={})
    fetch(workspace, simulator)
    progress = all_progress(workspace)[0]
    assert (progress.ok, progress.missing, progress.failed) == (39, 1, 0)
    assert progress.requests == 40 + 2 * QUICK.attempts
    assert [group["status"] for group in progress.reasons] == ["missing"]


def test_progress_has_the_reset_of_a_spent_quota(workspace, simulator):
    simulator.control(quota_per_hour=15, quota_window_s=3600, quota_code=10023)
    with pytest.raises(QuotaSpent) as caught:
        fetch(workspace, simulator)
    progress = all_progress(workspace)[0]
    assert progress.ok == 15
    assert datetime.fromisoformat(progress.waits_until) == caught.value.reset_at.replace(
        microsecond=caught.value.reset_at.microsecond // 1000 * 1000
    )
    assert "10023" in progress.waits_for.text
    simulator.reset()
    fetch(workspace, simulator)
    assert all_progress(workspace)[0].waits_until is None
