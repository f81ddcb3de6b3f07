"""The pipelines from trigger to sinks, in ``dag.test()``."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing

import pyarrow.parquet as pq
import pytest

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

UIDS = [str(1404376560 + number) for number in range(40)]


def rows_of(path, table="user_profiles"):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_the_defaults_bring_every_user_to_every_sink(pipeline):
    """Pressing Trigger as it is: files, objects, rows and charts, each user a labelled task."""
    run = pipeline.run()
    assert run.state == "success"
    assert run.errors == {}
    assert run.manifest["status"] == "complete"
    assert run.manifest["counts"] == {
        "planned": 5,
        "ok": 5,
        "missing": 0,
        "invalid": 0,
        "failed": 0,
    }
    prefix = json.loads(pipeline.read("weibo_user_profiles/latest.json"))["prefix"]
    names = {key.removeprefix(prefix) for key in pipeline.objects() if key.startswith(prefix)}
    assert {
        "users.parquet",
        "users.csv.gz",
        "failed.jsonl",
        "manifest.json",
        "report.html",
    } <= names
    assert any(name.endswith(".png") for name in names)
    assert (
        pipeline.read(prefix + "users.parquet")
        == (run.workspace / "dataset" / "users.parquet").read_bytes()
    )
    assert rows_of(pipeline.warehouse) == 5
    assert rows_of(pipeline.warehouse, "fanfold_runs") == 1
    users = pq.read_table(run.workspace / "dataset" / "users.parquet")["user_id"].to_pylist()
    labels = [run.labels["batch.fetch", index] for index in range(5)]
    assert labels == users == [run.labels["batch.process", index] for index in range(5)]


def test_many_users_from_a_file_keep_their_order_and_lose_no_one(pipeline, tmp_path):
    """Duplicates and blanks in the list; unknown, broken and invalid users in the answers."""
    path = tmp_path / "users.csv"
    listed = [*UIDS, "7", UIDS[0], "", "8"]
    path.write_text("\n".join(["user_id", *listed]))
    pipeline.simulator.control(uids={UIDS[3]: "invalid", UIDS[5]: "unknown"})
    run = pipeline.run(items_uri=path.as_uri(), batch_size=10)
    assert run.state == "success"
    assert run.manifest["status"] == "partial"
    assert run.manifest["counts"] == {
        "planned": 42,
        "ok": 38,
        "missing": 3,
        "invalid": 1,
        "failed": 0,
    }
    expected = [uid for uid in UIDS if uid not in {UIDS[3], UIDS[5]}]
    table = pq.read_table(run.workspace / "dataset" / "users.parquet")
    assert table["user_id"].to_pylist() == expected
    failed = [json.loads(line) for line in (run.workspace / "dataset" / "failed.jsonl").open()]
    assert {line["key"]: line["status"] for line in failed} == {
        UIDS[3]: "invalid",
        UIDS[5]: "missing",
        "7": "missing",
        "8": "missing",
    }
    assert next(line for line in failed if line["key"] == UIDS[3])["column"]
    assert len([state for (task, _), state in run.states.items() if task == "batch.fetch"]) == 5
    with gzip.open(run.workspace / "dataset" / "users.csv.gz", "rt", encoding="utf-8") as file:
        assert file.readline().startswith('"source","user_id"')


def test_items_may_lie_in_object_storage(pipeline):
    body = "\n".join(json.dumps({"user_id": uid}) for uid in UIDS[:3])
    pipeline.client.put_object(Bucket=pipeline.bucket, Key="in/users.jsonl", Body=body.encode())
    run = pipeline.run(items_uri=f"s3://{pipeline.bucket}/in/users.jsonl")
    assert run.manifest["counts"]["ok"] == 3


def test_a_second_source_goes_the_same_way(pipeline):
    run = pipeline.run("mastodon_user_profiles", user_ids=["@Alice", "bob", "nobody"])
    assert run.state == "success"
    assert run.manifest["counts"] == {
        "planned": 3,
        "ok": 2,
        "missing": 1,
        "invalid": 0,
        "failed": 0,
    }
    table = pq.read_table(run.workspace / "dataset" / "users.parquet")
    assert table["screen_name"].to_pylist() == ["alice", "bob"]
    assert set(table["source"].to_pylist()) == {"mastodon"}
    assert rows_of(pipeline.warehouse) == 2


def test_postgres_takes_the_rows(pipeline, postgres_database):
    server = postgres_database.server
    pipeline.connect(
        "warehouse_default",
        conn_type="postgres",
        host=server.host,
        port=server.port,
        login=server.user,
        password=server.password,
        schema=postgres_database.name,
    )
    for _ in range(2):
        assert pipeline.run().state == "success"
    with postgres_database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM user_profiles").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM fanfold_runs").fetchone() == (2,)


def test_a_dry_run_plans_and_asks_for_nothing(pipeline):
    run = pipeline.run(dry_run=True)
    assert run.state == "success"
    assert run.states["plan", -1] == run.states["consolidate", -1] == "skipped"
    assert json.loads((run.workspace / "plan.json").read_text())["items"] == 5
    assert pipeline.objects() == []
    assert not any("users/show" in path for path in pipeline.simulator.stats()["paths"])


def test_an_empty_list_leaves_the_last_dataset_where_it_is(pipeline):
    pipeline.run()
    latest = pipeline.read("weibo_user_profiles/latest.json")
    run = pipeline.run(user_ids=[])
    assert run.state == "success"
    assert run.manifest["status"] == "empty"
    assert pipeline.read("weibo_user_profiles/latest.json") == latest


def test_too_many_failures_publish_nothing_and_fail_the_run(pipeline):
    pipeline.simulator.control(uids={UIDS[0]: "drop"})
    run = pipeline.run(user_ids=UIDS[:4])
    assert run.state == "failed"
    assert run.states["batch.fetch", 0] == "failed"
    assert run.states["consolidate", -1] == "failed"
    assert "1 of 4 items failed (25 %)" in run.error("consolidate")
    assert run.states["publish", -1] == run.states["load", -1] == "upstream_failed"
    assert pipeline.objects() == []


def test_tolerated_failures_are_published_as_partial(pipeline):
    pipeline.simulator.control(uids={UIDS[0]: "drop"})
    run = pipeline.run(user_ids=UIDS[:4], tolerated_failure_percentage=25)
    assert run.state == "success"
    assert run.manifest["status"] == "partial"
    assert run.manifest["counts"]["failed"] == 1


def test_a_retry_of_a_batch_asks_only_for_what_failed(pipeline):
    """Faults on the first attempts of one user: the task's retry brings it, the rest is kept."""
    pipeline.simulator.control(uids={UIDS[3]: "http_500"}, first_attempts=5)
    run = pipeline.run(user_ids=UIDS[:10], batch_size=10, retries=1)
    assert run.state == "success"
    assert run.manifest["counts"]["ok"] == 10
    assert run.manifest["requests"] == 9 + 6


def test_ten_thousand_users_take_two_hundred_requests_where_the_connection_allows(
    pipeline, tmp_path
):
    simulator = pipeline.simulator
    pipeline.connect(
        "weibo_default",
        conn_type="http",
        host=simulator.url,
        password=simulator.token,
        extra={"items_per_request": 50},
    )
    path = tmp_path / "users.csv"
    path.write_text("\n".join(["user_id", *(str(2_000_000_000 + n) for n in range(10_000))]))
    run = pipeline.run(items_uri=path.as_uri())
    assert run.state == "success"
    counts = run.manifest["counts"]
    assert counts["ok"] + counts["missing"] == 10_000
    paths = simulator.stats()["paths"]
    assert paths["/2/users/show_batch/other.json"] == 200
    # Those that the answers omit are asked for once more, singly.
    assert paths.get("/2/users/show.json", 0) == counts["missing"]
    assert run.manifest["requests"] == 200 + counts["missing"]
    plan = json.loads((run.workspace / "plan.json").read_text("utf-8"))
    assert plan["forecast"]["requests"] == 200


def test_a_run_foretells_its_time_by_the_runs_before_and_the_report_compares(pipeline):
    first = pipeline.run(user_ids=UIDS[:3])
    assert json.loads((first.workspace / "plan.json").read_text())["forecast"] == {
        "requests": 3,
        "seconds": None,
        "basis": "unknown",
    }
    second = pipeline.run(user_ids=UIDS[:3])
    forecast = json.loads((second.workspace / "plan.json").read_text())["forecast"]
    assert forecast["basis"] == "earlier runs"
    assert forecast["seconds"] > 0
    page = (second.workspace / "report" / "report.html").read_text("utf-8")
    assert "by earlier runs" in page
    assert "forecast: 3" in page


def test_a_quota_is_part_of_the_forecast(pipeline):
    """What the connection says, and what the source says of what is left of it."""
    pipeline.simulator.control(quota_per_hour=10, quota_window_s=1000)
    run = pipeline.run(user_ids=UIDS[:15], dry_run=True)
    forecast = json.loads((run.workspace / "plan.json").read_text())["forecast"]
    assert forecast["basis"] == "quota"
    assert 900 < forecast["seconds"] <= 1001
