"""Airflow's scheduler with the pipelines: secrets in files, backfills, the next run."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime
from urllib.parse import quote, unquote

import pyarrow.parquet as pq
import pytest

from fanfold.local.state import StackFailed
from fanfold.simulator import market
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace

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


def test_a_backfill_of_days_is_right_although_its_runs_overlap_and_the_last_date_comes_first(stack):
    """Mode merge: every bar is there once, and folds are as of the latest date, whatever run ended last."""
    days = ["2026-03-03", "2026-03-04"]
    body = {
        "dag_id": HISTORY, "from_date": f"{days[0]}T00:00:00Z", "to_date": f"{days[1]}T12:00:00Z",
        "max_active_runs": 2, "run_backwards": True, "dag_run_conf": {"symbols": ["000001.SZ"]},
    }  # fmt: skip
    stack.wait_for_dag(HISTORY)
    stack.api("PATCH", f"/api/v2/dags/{HISTORY}", json={"is_paused": False})
    made = stack.api("POST", "/api/v2/backfills", json=body)
    spaces = []
    for day in days:
        run_id = f"backfill__{day}T11:00:00+00:00"
        assert stack.wait(HISTORY, quote(run_id), timeout=180) == "success"
        spaces.append(Workspace.of_run(stack.home.shared, HISTORY, run_id))
    stack.api("PUT", f"/api/v2/backfills/{made['id']}/cancel")
    last = max(spaces, key=lambda space: read_json(space.manifest)["generation"])
    found = pq.read_table(last.table("daily_bars"), filters=[("symbol", "==", "000001.SZ")])
    expected = market.bars("000001.SZ", market.FIRST_DAY, date.fromisoformat(days[1]))
    assert found["trade_date"].to_pylist() == [bar.day for bar in expected]
    dates = pq.read_table(last.table("symbol_statistics"))["as_of"].unique().to_pylist()
    assert [f"{each:%Y-%m-%d}" for each in dates] == days[1:]


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
