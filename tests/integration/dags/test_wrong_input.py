"""Wrong input is reported once, at the earliest task, and nothing is published."""

from __future__ import annotations

import pytest

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

UIDS = [str(1404376560 + number) for number in range(4)]


def assert_stopped_at(run, task, pipeline):
    """The task failed, no task before it did, and nothing was fetched or published."""
    assert run.state == "failed"
    assert run.states[task, -1] == "failed"
    assert set(run.errors) == {task, "consolidate"}
    assert "see the failed task" in run.error("consolidate")
    assert pipeline.objects() == []
    assert not any("users/show" in path for path in pipeline.simulator.stats()["paths"])


def test_a_refused_token_fails_preflight(pipeline):
    pipeline.connect(
        "weibo_default", conn_type="http", host=pipeline.simulator.url, password="s3cret-token"
    )
    run = pipeline.run()
    assert_stopped_at(run, "preflight", pipeline)
    assert "Weibo 21332: access token rejected" in run.error("preflight")
    assert "s3cret-token" not in run.error("preflight")


def test_preflight_reports_everything_that_is_misconfigured_in_one_message(pipeline, monkeypatch):
    pipeline.connect("weibo_default", conn_type="http", host=pipeline.simulator.url, password="x1")
    pipeline.connect("warehouse_default", conn_type="mysql", host="x")
    monkeypatch.setenv("FANFOLD_BUCKET", "not-there")
    monkeypatch.setenv("FANFOLD_SHARED_DIR", "relative")
    said = pipeline.run().error("preflight")
    assert "4 of 4 preflight checks failed" in said
    for name in ("21332", "not-there", "mysql", "FANFOLD_SHARED_DIR"):
        assert name in said


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
        login="fanfold",
        password="s3cret-pw",
        schema="x",
    )
    said = pipeline.run().error("preflight")
    assert "3 of 4 preflight checks failed" in said
    assert "There is no connection 'weibo_default'" in said
    assert f"FANFOLD_SHARED_DIR={blocked} is not writable" in said
    assert "warehouse_default" in said
    assert "s3cret-pw" not in said


def test_a_malformed_items_file_fails_read_items(pipeline, tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("user_id\n1404376560\nnot a uid\n")
    run = pipeline.run(items_uri=path.as_uri())
    assert_stopped_at(run, "read_items", pipeline)
    assert "line 3 is 'not a uid'" in run.error("read_items")


def test_an_items_file_that_does_not_exist_is_named(pipeline):
    uri = f"s3://{pipeline.bucket}/nowhere.csv"
    run = pipeline.run(items_uri=uri)
    assert_stopped_at(run, "read_items", pipeline)
    assert uri in run.error("read_items")


def test_an_impossible_user_is_refused_before_anything_is_fetched(pipeline):
    run = pipeline.run(user_ids=[*UIDS, {"id": 1}])
    assert_stopped_at(run, "read_items", pipeline)
    assert "item 5 is" in run.error("read_items")


def test_a_batch_size_that_airflow_cannot_map_is_refused_by_plan(pipeline, tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("\n".join(["user_id", *(str(1404376560 + n) for n in range(1000))]))
    run = pipeline.run(items_uri=path.as_uri(), batch_size=1)
    assert_stopped_at(run, "plan", pipeline)
    assert "Set it to 2 or more" in run.error("plan")


def test_a_param_out_of_range_is_refused_before_there_is_a_run(weibo):
    from airflow.sdk.exceptions import ParamValidationError

    for name, value in [
        ("concurrency", 0),
        ("concurrency", 1000),
        ("concurrency", "many"),
        ("batch_size", 0),
        ("requests_per_second", 0),
        ("requests_per_second", -1),
        ("tolerated_failure_percentage", 101),
        ("tolerated_failure_percentage", -1),
        ("items_uri", "/etc/passwd"),
        ("items_uri", "file:///etc/passwd"),
        ("items_uri", "https://example.com/users.csv"),
        ("user_ids", "1404376560"),
        ("dry_run", "yes"),
    ]:
        with pytest.raises(ParamValidationError, match=name):
            weibo.params.update({name: value})


def test_a_token_that_expires_during_the_fetch_stops_all_batches(pipeline):
    """Preflight passes, then the token expires: no batch is retried, nothing is published."""
    pipeline.simulator.control(token_expires_after=3)
    run = pipeline.run(user_ids=UIDS, retries=2)
    assert run.state == "failed"
    assert "failed" in {state for (task, _), state in run.states.items() if task == "batch.fetch"}
    assert "21327" in run.error("batch.fetch")
    assert pipeline.simulator.stats()["requests"] <= 3 + len(UIDS) + 2
    assert pipeline.objects() == []
