"""What goes wrong is told once, clearly, at the earliest step, and nothing is published."""

from __future__ import annotations

import os

import pytest

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

UIDS = [str(1404376560 + number) for number in range(4)]


def assert_stopped_at(run, task, pipeline):
    """The task failed, no task before it did, and nothing was asked for or published."""
    assert run.state == "failed"
    assert run.states[task, -1] == "failed"
    assert set(run.errors) == {task, "consolidate"}
    assert "see the failed task" in run.error("consolidate")
    assert pipeline.objects() == []


def test_a_refused_token_is_found_by_preflight(pipeline):
    pipeline.connect(
        "weibo_default", conn_type="http", host=pipeline.simulator.url, password="wrong"
    )
    run = pipeline.run()
    assert_stopped_at(run, "preflight", pipeline)
    assert "Weibo 21332: access token rejected" in run.error("preflight")
    assert "wrong" not in run.error("preflight").replace("wrong:", "")


def test_a_missing_bucket_is_found_by_preflight(pipeline, monkeypatch):
    monkeypatch.setenv("FANFOLD_BUCKET", "not-there")
    run = pipeline.run()
    assert_stopped_at(run, "preflight", pipeline)
    assert "not-there" in run.error("preflight")


def test_a_database_that_is_away_is_found_by_preflight(pipeline):
    pipeline.connect(
        "warehouse_default",
        conn_type="postgres",
        host="127.0.0.1",
        port=1,
        login="fanfold",
        password="s3cret-pw",
        schema="x",
    )
    run = pipeline.run()
    assert_stopped_at(run, "preflight", pipeline)
    assert "warehouse_default" in run.error("preflight")
    assert "s3cret-pw" not in run.error("preflight")


def test_a_workspace_that_is_not_writable_is_found_by_preflight(pipeline, monkeypatch, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the directory should be")
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(blocked))
    run = pipeline.run()
    assert_stopped_at(run, "preflight", pipeline)
    assert f"FANFOLD_SHARED_DIR={blocked} is not writable" in run.error("preflight")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_workspace_is_found_by_preflight(pipeline):
    pipeline.shared.chmod(0o500)
    run = pipeline.run()
    pipeline.shared.chmod(0o700)
    assert_stopped_at(run, "preflight", pipeline)


def test_preflight_names_every_thing_that_is_wrong_in_one_message(pipeline, monkeypatch):
    pipeline.connect("weibo_default", conn_type="http", host=pipeline.simulator.url, password="x1")
    pipeline.connect("warehouse_default", conn_type="mysql", host="x")
    monkeypatch.setenv("FANFOLD_BUCKET", "not-there")
    monkeypatch.setenv("FANFOLD_SHARED_DIR", "relative")
    said = pipeline.run().error("preflight")
    assert "4 of 4 preflight checks failed" in said
    for name in ("21332", "not-there", "mysql", "FANFOLD_SHARED_DIR"):
        assert name in said


def test_a_missing_connection_is_named(pipeline, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_WEIBO_DEFAULT")
    said = pipeline.run().error("preflight")
    assert "There is no connection 'weibo_default'" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("user_id\n1404376560\nnot a uid\n", "line 3 is 'not a uid'"),
        ("name,age\n", "needs a header"),
        ("", "needs a header"),
    ],
)
def test_a_malformed_items_file_is_found_by_read_items(pipeline, tmp_path, content, said):
    path = tmp_path / "users.csv"
    path.write_text(content)
    run = pipeline.run(items_uri=path.as_uri())
    assert_stopped_at(run, "read_items", pipeline)
    assert said in run.error("read_items")


@pytest.mark.parametrize("uri", ["file:///nowhere/users.csv", "s3://{bucket}/nowhere.csv"])
def test_an_items_file_that_is_not_there_is_named(pipeline, uri):
    uri = uri.format(bucket=pipeline.bucket)
    run = pipeline.run(items_uri=uri)
    assert_stopped_at(run, "read_items", pipeline)
    assert uri in run.error("read_items")


@pytest.mark.parametrize("user", ["a b", "../x", "😀", "9" * 10_000, {"id": 1}])
def test_a_user_that_cannot_be_is_refused_before_anything_is_fetched(pipeline, user):
    run = pipeline.run(user_ids=[*UIDS, user])
    assert_stopped_at(run, "read_items", pipeline)
    assert "item 5 is" in run.error("read_items")
    assert not any("users/show" in path for path in pipeline.simulator.stats()["paths"])


def test_a_batch_size_that_airflow_cannot_map_is_refused_by_plan(pipeline, tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("\n".join(["user_id", *(str(1404376560 + n) for n in range(1000))]))
    run = pipeline.run(items_uri=path.as_uri(), batch_size=1)
    assert_stopped_at(run, "plan", pipeline)
    assert "Set it to 2 or more" in run.error("plan")


@pytest.mark.parametrize(
    "conf",
    [
        {"concurrency": 0},
        {"concurrency": 1000},
        {"concurrency": "many"},
        {"batch_size": 0},
        {"requests_per_second": 0},
        {"requests_per_second": -1},
        {"tolerated_failure_percentage": 101},
        {"tolerated_failure_percentage": -1},
        {"items_uri": "/etc/passwd"},
        {"items_uri": "file:///etc/passwd"},
        {"items_uri": "https://example.com/users.csv"},
        {"user_ids": "1404376560"},
        {"dry_run": "yes"},
    ],
)
def test_a_param_out_of_range_is_refused_before_there_is_a_run(weibo, conf):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError, match=next(iter(conf))):
        weibo.params.update(conf)


def test_a_token_refused_midway_stops_all_batches_with_one_message(pipeline):
    """Preflight passes, then the token expires: no batch is retried, nothing is published."""
    pipeline.simulator.control(token_expires_after=3)
    run = pipeline.run(user_ids=UIDS, retries=2)
    assert run.state == "failed"
    failed = [
        key for key, state in run.states.items() if key[0] == "batch.fetch" and state == "failed"
    ]
    assert failed
    assert "21327" in run.error("batch.fetch")
    assert pipeline.simulator.stats()["requests"] <= 3 + len(UIDS) + 2
    assert pipeline.objects() == []
