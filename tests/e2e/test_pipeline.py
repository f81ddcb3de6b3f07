"""The pipeline on Airflow's scheduler: a run with failures is cleared; secrets stay secret."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pyarrow.parquet as pq
import pytest

from fanfold.local.state import StackFailed

DAG = "weibo_user_profiles"
UIDS = [str(1404376560 + number) for number in range(120)]


def test_clearing_fetch_requests_only_failed_items(stack, simulator, runs):
    """Two users fail and one is unknown; then the API recovers, and `fetch` is cleared."""
    broken = {UIDS[3], UIDS[77]}
    simulator.control(uids=dict.fromkeys(broken, "http_500"))
    run_id = stack.trigger(DAG, {"items_uri": runs.listed([*UIDS, "7"])})
    assert stack.wait(DAG, run_id, timeout=180) == "success"
    counts = runs.counts(run_id)
    assert counts == {"planned": 121, "ok": 118, "missing": 1, "invalid": 0, "failed": 2}
    path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances"
    failed = stack.api("GET", path, params={"state": "failed"})["task_instances"]
    assert {instance["task_id"] for instance in failed} == {"batch.fetch"}

    simulator.reset()
    runs.clear(run_id, "batch.fetch")
    assert stack.wait(DAG, run_id, timeout=180) == "success"
    assert simulator.stats(all_uids=True)["uids"] == dict.fromkeys(broken, 1)
    counts = runs.counts(run_id)
    assert counts == {"planned": 121, "ok": 120, "missing": 1, "invalid": 0, "failed": 0}
    table = pq.read_table(runs.workspace(run_id).table("user_profiles"))
    assert table["user_id"].to_pylist() == UIDS
    latest = stack.s3().get_object(Bucket="fanfold", Key=f"{DAG}/latest.json")["Body"].read()
    assert json.loads(latest)["run_id"] == run_id
    with closing(sqlite3.connect(stack.home.warehouse)) as connection:
        found = connection.execute("SELECT ok, failed FROM fanfold_runs WHERE run_id = ?", [run_id])
        assert found.fetchall() == [(120, 0)]
    events = stack.api("GET", "/api/v2/assets/events", params={"source_run_id": run_id})
    published = [(each["name"], each["extra"]["status"]) for each in events["asset_events"]]
    assert sorted(published) == [(DAG, "complete"), (DAG, "partial")]
    assert {each["extra"]["counts"]["ok"] for each in events["asset_events"]} == {118, 120}


def test_the_command_line_refuses_a_param_out_of_range_and_creates_no_run(stack):
    before = stack.api("GET", f"/api/v2/dags/{DAG}/dagRuns")["total_entries"]
    with pytest.raises(StackFailed, match="concurrency"):
        stack.trigger(DAG, {"concurrency": 0})
    assert stack.api("GET", f"/api/v2/dags/{DAG}/dagRuns")["total_entries"] == before


def test_no_secret_is_in_a_log_a_file_or_the_address_of_a_request(stack):
    """After the runs above: token, keys and passwords are nowhere under logs and shared."""
    kept = stack.home.secrets()
    secrets = [kept.source_token, kept.s3_secret_key, kept.fernet_key, kept.jwt_secret]
    for folder in (stack.home.shared, stack.home.airflow / "logs", stack.home.logs):
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not [secret for secret in secrets if secret.encode() in content], path


def test_the_next_run_is_in_the_future(stack):
    """A pipeline that is switched on does not start a run of yesterday."""
    from datetime import UTC, datetime

    for dag_id in (DAG, "mastodon_user_profiles"):
        stack.wait_for_dag(dag_id)
        due = stack.api("GET", f"/api/v2/dags/{dag_id}")["next_dagrun_run_after"]
        assert datetime.fromisoformat(due) > datetime.now(UTC)
