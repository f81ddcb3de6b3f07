"""Airflow's scheduler with the pipelines: secrets in files, backfills, the next run."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import pytest

from fanfold.local.state import StackFailed

DAG, HISTORY = "weibo_user_profiles", "trade_statistics"


def test_a_backfill_fetches_anew_and_a_cleared_task_keeps_what_it_fetched(stack, simulator):
    """A backfill that reprocesses a finished run, and one of a run that was deleted."""
    date = "2026-03-02T11:00:00Z"
    backfill = {
        "dag_id": HISTORY, "from_date": date, "to_date": date, "reprocess_behavior": "completed",
        "dag_run_conf": {"symbols": ["600519.SH"], "earlier_rows": "rebuild"},
    }  # fmt: skip
    run_id = quote("backfill__2026-03-02T11:00:00+00:00")
    dag = f"/api/v2/dags/{HISTORY}"

    def requests():
        assert stack.wait(HISTORY, run_id, timeout=180) == "success"
        made = simulator.stats()["requests"]
        simulator.reset()
        return made

    @contextmanager
    def backfilled():
        made = stack.api("POST", "/api/v2/backfills", json=backfill)
        yield
        # Airflow ends it every half a minute, and has one at a time for a DAG.
        stack.api("PUT", f"/api/v2/backfills/{made['id']}/cancel")

    stack.wait_for_dag(HISTORY)
    stack.api("PATCH", dag, json={"is_paused": False})
    with backfilled():
        first = requests()
        body = {"dry_run": False, "only_failed": False, "include_downstream": True}
        body |= {"dag_run_id": unquote(run_id), "task_ids": ["batch.fetch"]}
        stack.api("POST", f"{dag}/clearTaskInstances", json=body)
        assert requests() == 0
    with backfilled():
        assert requests() == first
    stack.api("DELETE", f"{dag}/dagRuns/{run_id}")
    with backfilled():
        assert requests() == first


def test_no_secret_is_in_a_log_a_file_or_the_address_of_a_request(stack):
    """After the runs above: token, keys and passwords are nowhere under logs and shared."""
    kept = stack.home.secrets()
    secrets = [kept.source_token, kept.s3_secret_key, kept.fernet_key, kept.jwt_secret]
    for folder in (stack.home.shared, stack.home.airflow / "logs", stack.home.logs):
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not [secret for secret in secrets if secret.encode() in content], path


def test_airflow_refuses_a_backfill_of_a_source_without_history(stack):
    stack.wait_for_dag(DAG)
    date = "2026-03-02T02:00:00Z"
    body = {"dag_id": DAG, "from_date": date, "to_date": date}
    with pytest.raises(StackFailed, match="does not allow backfill runs"):
        stack.api("POST", "/api/v2/backfills", json=body)


def test_the_next_run_is_in_the_future(stack):
    """A pipeline that is switched on does not start a run of yesterday, unless it had a backfill."""
    for dag_id in ("mastodon_user_profiles", "order_analysis"):
        stack.wait_for_dag(dag_id)
        due = stack.api("GET", f"/api/v2/dags/{dag_id}")["next_dagrun_run_after"]
        assert datetime.fromisoformat(due) > datetime.now(UTC)
