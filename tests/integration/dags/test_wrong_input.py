"""Wrong input is reported once, at the earliest task, and nothing is published."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


def assert_stopped_at(run, task, pipeline):
    """The task failed, no task before it did, and nothing was fetched or published."""
    assert run.state == "failed"
    assert run.states[task, -1] == "failed"
    assert set(run.errors) == {task}
    assert run.states["consolidate", -1] == "upstream_failed"
    assert pipeline.objects() == []
    assert not any("users/show" in path for path in pipeline.simulator.stats()["paths"])


def test_preflight_reports_everything_that_is_misconfigured_in_one_message(pipeline, monkeypatch):
    host = pipeline.simulator.url
    pipeline.connect("weibo_default", conn_type="http", host=host, password="s3cret-token\n")
    pipeline.connect("warehouse_default", conn_type="mysql", host="x")
    monkeypatch.setenv("FANFOLD_BUCKET", "not-there")
    monkeypatch.setenv("FANFOLD_SHARED_DIR", "relative")
    run = pipeline.run()
    said = run.error("preflight")
    assert run.states["batch.fetch", -1] == "upstream_failed"
    assert "4 of 5 preflight checks failed" in said
    for name in (
        f"{host}: Weibo 21332: access token rejected",
        "not-there",
        "mysql",
        "FANFOLD_SHARED_DIR",
    ):
        assert name in said
    assert "s3cret-token" not in said


def test_preflight_reports_what_is_missing_or_unreachable(pipeline, monkeypatch, tmp_path):
    monkeypatch.delenv("AIRFLOW_CONN_WEIBO_DEFAULT")
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the directory should be")
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(blocked))
    pipeline.connect(
        "warehouse_default",
        conn_type="postgres",
        host="127.0.0.1",
        port=1,
        password="s3cret-pw",
    )
    said = pipeline.run().error("preflight")
    assert "3 of 5 preflight checks failed" in said
    assert "There is no connection 'weibo_default'" in said
    assert f"FANFOLD_SHARED_DIR={blocked} is not writable" in said
    assert "warehouse_default" in said
    assert "s3cret-pw" not in said


def test_preflight_compares_existing_tables_with_the_pipeline(pipeline):
    with closing(sqlite3.connect(pipeline.warehouse)) as connection:
        connection.execute("CREATE TABLE user_profiles (source text, user_id integer)")
    said = pipeline.run().error("preflight")
    assert "1 of 5 preflight checks failed" in said
    assert "column 'user_id' has the type INTEGER" in said


def test_wrong_items_fail_read_items_with_their_place(pipeline):
    path = pipeline.inputs / "users.csv"
    path.write_text("user_id\n1404376560\nnot a uid\n")
    run = pipeline.run(items_uri=path.as_uri())
    assert_stopped_at(run, "read_items", pipeline)
    assert "line 3: a Weibo uid is a number" in run.error("read_items")
    assert "not a uid" not in run.error("read_items")


def test_a_batch_size_that_airflow_cannot_map_is_refused_by_plan(pipeline):
    path = pipeline.inputs / "users.csv"
    path.write_text("\n".join(["user_id", *(str(1404376560 + n) for n in range(1000))]))
    run = pipeline.run(items_uri=path.as_uri(), batch_size=1)
    assert_stopped_at(run, "plan", pipeline)
    assert "Set it to 2 or more" in run.error("plan")


def test_a_source_without_history_is_asked_for_no_date_in_the_past(pipeline):
    """Nor by a run that a person triggers; but a run may be cleared on a later day."""
    date = datetime.now(UTC) - timedelta(days=3)
    run = pipeline.run(date=date)
    assert_stopped_at(run, "preflight", pipeline)
    assert re.search(f"has no history: .* the date {date:%Y-%m-%d}", run.error("preflight"))
    ok = pipeline.run(user_ids=["1404376560"])
    plan = json.loads((ok.workspace / "plan.json").read_text())
    run.workspace.mkdir(exist_ok=True)
    (run.workspace / "plan.json").write_text(json.dumps({**plan, "started_at": date.isoformat()}))
    assert pipeline.clear(run, "preflight").errors == {}


def test_a_param_out_of_range_is_refused_before_there_is_a_run(weibo):
    from airflow.sdk.exceptions import ParamValidationError

    for name, values in {
        "concurrency": (0, 1000, "many"),
        "batch_size": (0,),
        "requests_per_second": (0, -1),
        "tolerated_failure_percentage": (101, -1),
        "update_latest": ("maybe",),
        "row_drop_warning_percentage": (101,),
        "user_ids": ("1404376560",),
        "dry_run": ("yes",),
    }.items():
        for value in values:
            with pytest.raises(ParamValidationError, match=name):
                weibo.params.update({name: value})
