"""Fetch against the simulator: what it requests, keeps, retries and skips."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from fanfold.errors import (
    BatchIncomplete,
    CredentialRefused,
    LeftFailed,
    QuotaSpent,
    SourceBusy,
)
from fanfold.model import Status
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import ApiSession
from fanfold.stages.fetching.backoff import Backoff
from fanfold.workspace.progress import all_progress
from fanfold.workspace.redrive import Selection, forget_selections, selection_of, write_selection
from pipelines._weibo_api import API

UIDS = [str(1404376560 + number) for number in range(40)]


def requests(simulator):
    return simulator.stats()["requests"]


def requested(simulator):
    return simulator.stats(all_uids=True)["uids"]


def test_each_user_is_requested_once_also_if_it_does_not_exist(
    fetch, workspace, simulator, records_of
):
    """A second fetch sends no request."""
    tally = fetch([*UIDS, "7"])
    assert (tally.count(Status.OK), tally.count(Status.MISSING)) == (40, 1)
    assert tally.requests == requests(simulator) == 41
    ids = {
        key: [str(record["id"]) for record in each] for key, each in records_of(workspace).items()
    }
    assert ids == {uid: [uid] for uid in UIDS}
    assert "no such user" in workspace.batch(0).outcomes()["7"].reason
    fetch([*UIDS, "7"])
    assert requests(simulator) == 41


@pytest.mark.parametrize("fault", ["http_500", "drop"])
def test_a_permanent_fault_fails_one_user_and_a_retry_requests_only_that_one(
    fetch, workspace, simulator, fault
):
    simulator.control(uids={UIDS[3]: fault, UIDS[4]: "unknown"})
    with pytest.raises(BatchIncomplete, match=rf"1 of 40 items failed.*{UIDS[3]}"):
        fetch(UIDS)
    assert workspace.batch(0).outcomes()[UIDS[3]].attempts == 4
    progress = all_progress(workspace)[0]
    counts = (progress.planned, progress.ok, progress.missing, progress.failed, progress.requests)
    assert counts == (40, 38, 1, 1, 43)
    assert sum(items for _, items in progress.recent) == 40
    groups = [(group["status"], group["count"]) for group in progress.reasons]
    assert groups == [("failed", 1), ("missing", 1)]
    simulator.reset()
    tally = fetch(UIDS)
    assert tally.count(Status.OK) == 39
    assert requests(simulator) == 1
    assert tally.outcomes[UIDS[3]].attempts == 5
    progress = all_progress(workspace)[0]
    assert (progress.ok, progress.missing, progress.failed) == (39, 1, 0)
    assert [group["status"] for group in progress.reasons] == ["missing"]


def test_a_refused_token_stops_at_once(fetch, simulator):
    with pytest.raises(CredentialRefused, match="21332"):
        fetch(UIDS, token="wrong-token")
    assert requests(simulator) <= 8


def test_an_expired_token_keeps_the_fetched_records(fetch, workspace, simulator, records_of):
    simulator.control(token_expires_after=20)
    with pytest.raises(CredentialRefused, match="21327"):
        fetch(UIDS)
    assert len(records_of(workspace)) == 20
    simulator.reset()
    fetch(UIDS)
    assert requests(simulator) == 20


@pytest.mark.parametrize("code", [10022, 10023, 10024])
def test_a_spent_quota_keeps_the_fetched_records_and_reports_the_reset(
    fetch, workspace, simulator, records_of, code
):
    simulator.control(quota_per_hour=15, quota_window_s=3600, quota_code=code)
    with pytest.raises(QuotaSpent, match=str(code)) as caught:
        fetch(UIDS)
    reset_at = caught.value.reset_at
    assert timedelta(0) < reset_at - datetime.now(UTC) <= timedelta(seconds=3602)
    assert len(records_of(workspace)) == 15
    endpoint = Endpoint("weibo_default", simulator.url, token=simulator.token)
    with ApiSession(API, endpoint, as_of=datetime.now(UTC)) as session:
        quota = session.quota()
    assert quota.remaining == 0
    assert 0 < quota.reset_in <= 3600
    progress = all_progress(workspace)[0]
    assert progress.ok == 15
    assert abs(datetime.fromisoformat(progress.waits_until) - reset_at) < timedelta(seconds=0.001)
    assert str(code) in progress.waits_for.text
    simulator.reset()
    fetch(UIDS)
    assert all_progress(workspace)[0].waits_until is None


def test_an_unreachable_host_fails_the_batch_and_no_item(fetch_from, workspace):
    nobody = SimpleNamespace(url="http://127.0.0.1:1", token="t")
    short = Backoff(attempts=4, first=0.01, cap=0.05, max_probe_wait=0.2, max_outage=0.5)
    with pytest.raises(SourceBusy, match="connection failed"):
        fetch_from(workspace, nobody, UIDS[:2], backoff=short)
    assert workspace.batch(0).outcomes() == {}


def test_a_batch_says_whether_the_source_refused_each_item_that_failed(fetch, simulator):
    simulator.control(uids={UIDS[3]: "10017", UIDS[4]: "http_500"})
    with pytest.raises(BatchIncomplete, match="2 of 40") as caught:
        fetch(UIDS)
    assert not caught.value.refused
    simulator.control(uids={UIDS[3]: "10017"})
    with pytest.raises(BatchIncomplete, match="1 of 40") as caught:
        fetch(UIDS)
    assert caught.value.refused


def test_items_that_a_corrected_list_no_longer_has_do_not_count(fetch, simulator):
    simulator.control(uids={UIDS[3]: "10017"})
    with pytest.raises(BatchIncomplete):
        fetch(UIDS)
    rest = [uid for uid in UIDS if uid != UIDS[3]]
    assert set(fetch(rest).outcomes) == set(rest)


def test_only_selected_items_are_requested_whatever_their_outcome(fetch, workspace, simulator):
    """One that is ok, one that is missing, and one of two that failed; a retry requests only what failed."""
    simulator.control(uids={UIDS[1]: "unknown", UIDS[2]: "http_500", UIDS[3]: "http_500"})
    with pytest.raises(BatchIncomplete):
        fetch(UIDS)
    selection = Selection(tuple(UIDS[:3]), workspace.batch(0).last_sequence(), clearing=3)
    simulator.reset()
    simulator.control(uids={UIDS[1]: "http_500"})
    with pytest.raises(BatchIncomplete, match=f"First: {UIDS[1]}"):
        fetch(UIDS, selection=selection)
    assert requested(simulator) == dict.fromkeys(UIDS[:3], 1) | {UIDS[1]: 4}
    simulator.reset()
    with pytest.raises(LeftFailed, match=rf"1 of 40 items that failed earlier .*First: {UIDS[3]}"):
        fetch(UIDS, selection=selection)
    assert requested(simulator) == {UIDS[1]: 1}
    statuses = {key: outcome.status for key, outcome in workspace.batch(0).outcomes().items()}
    assert statuses == dict.fromkeys(UIDS, Status.OK) | {UIDS[3]: Status.FAILED}


def test_parts_of_another_version_of_the_source_are_fetched_again_despite_a_selection(
    fetch, workspace, simulator, records_of
):
    batch = workspace.batch(0)
    fetch(UIDS[:3])
    old = {path for _, *paths in batch.parts() for path in paths}
    selection = Selection((UIDS[0],), batch.last_sequence(), 1)
    write_selection(batch, selection)
    fetch(UIDS[:3], version="0000000b", selection=selection)
    assert requests(simulator) == 6
    assert not any(path.exists() for path in old)
    assert batch.parts_of_other_versions("0000000b") == []
    assert selection_of(batch, 1) is None
    assert set(records_of(workspace)) == set(UIDS[:3])


def test_a_selection_belongs_to_one_clearing(workspace):
    assert selection_of(workspace.batch(0), 3) is None
    choice = Selection(("1", "\ud800"), 2, 3)
    write_selection(workspace.batch(0), choice)
    assert selection_of(workspace.batch(0), 3) == choice
    assert selection_of(workspace.batch(0), 10) is None
    forget_selections(workspace, [0, 1])
    assert selection_of(workspace.batch(0), 3) is None
