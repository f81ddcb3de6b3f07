"""What a run did is what the receiver counted: against the manifest and the simulator."""

from __future__ import annotations

import gzip
import time

import pyarrow.parquet as pq
import pytest

from fanfold.workspace.files import read_jsonl

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

UIDS = [str(1404376560 + number) for number in range(40)]
OF_PIPELINE = {"dag_id": "weibo_user_profiles", "pipeline": "weibo_user_profiles"}
STAGES = {
    *("preflight", "read_items", "plan", "fetch", "process"),
    *("consolidate", "publish", "load", "report"),
}


def asked_for_users(simulator):
    return simulator.stats()["paths"].get("/2/users/show.json", 0)


def outcomes(receiver):
    return receiver.by("outcome", "fanfold_items_total")


def test_the_counters_of_a_run_are_those_of_its_manifest(pipeline, sending):
    """Outcomes, requests, retries, bytes, rows and durations; the tags are those of the pipeline.

    The list is a file in object storage with duplicates and blanks, whose order is kept.
    """
    receiver = sending
    body = "\n".join(["user_id", *UIDS, "7", UIDS[0], "", "8"]).encode()
    pipeline.client.put_object(Bucket=pipeline.bucket, Key="in/users.csv", Body=body)
    pipeline.simulator.control(uids={UIDS[3]: "invalid", UIDS[5]: "unknown"})
    began = time.time()
    run = pipeline.run(items_uri=f"s3://{pipeline.bucket}/in/users.csv", batch_size=14)
    receiver.settled()
    assert run.state == "success"
    counts = {name: count for name, count in run.manifest["counts"].items() if count}
    assert counts.pop("planned") == sum(counts.values()) == 42
    assert outcomes(receiver) == counts == {"ok": 38, "missing": 3, "invalid": 1}
    assert receiver.value("fanfold_items_total", **OF_PIPELINE) == 42
    assert receiver.value("fanfold_rows_total", **OF_PIPELINE) == run.manifest["rows"] == 38
    rejected = receiver.value("fanfold_rows_rejected_total", **OF_PIPELINE)
    assert rejected == run.manifest["rejected"] == 1
    requests = receiver.value("fanfold_requests_total", **OF_PIPELINE)
    assert requests == run.manifest["requests"] == asked_for_users(pipeline.simulator)
    assert receiver.value("fanfold_request_retries_total") == 0
    sent = pipeline.client.list_objects_v2(Bucket=pipeline.bucket)["Contents"]
    sizes = {entry["Key"].rpartition("/")[2]: entry["Size"] for entry in sent}
    del sizes["latest.json"], sizes["users.csv"]
    report = sizes.pop("report.html")
    assert receiver.by("stage", "fanfold_sent_bytes_total") == {
        "report": report,
        "publish": sum(sizes.values()),
    }
    assert receiver.value("fanfold_rows_loaded_total") == 38
    assert receiver.by("status", "fanfold_runs_total") == {"partial": 1}
    # The other counters began at zero with the plan, so that Prometheus sees the first failure rise.
    assert len(receiver.values("fanfold_runs_total")) == 4
    assert len(receiver.values("fanfold_items_total")) == 4
    assert began < receiver.value("fanfold_last_success_timestamp_seconds") < time.time()
    ran = receiver.by("stage", "fanfold_stage_duration_seconds_count")
    assert ran == {stage: 3 if stage in {"fetch", "process"} else 1 for stage in STAGES}
    seconds = receiver.by("stage", "fanfold_stage_duration_seconds_sum")
    assert all(0 < seconds[stage] < time.time() - began for stage in STAGES)
    # Airflow's own counters come beside them, without the legacy names that contain ids.
    assert receiver.value("airflow_ti_finish_total", state="success") == 7 + 2 * 3
    assert {frozenset(dict(labels)) for labels in receiver.values("airflow_ti_finish_total")} == {
        frozenset({"dag_id", "task_id", "state"})
    }
    assert receiver.values("airflow_ti_finish_weibo_user_profiles_plan_success_total") == {}
    assert receiver.value("statsd_exporter_sample_errors_total") == 0

    folder = run.workspace / "dataset"
    expected = [uid for uid in UIDS if uid not in {UIDS[3], UIDS[5]}]
    table = pq.read_table(folder / "user_profiles.parquet")
    assert table["user_id"].to_pylist() == expected
    failed = [
        line for name in ("failed", "missing") for line in read_jsonl(folder / f"{name}.jsonl")
    ]
    statuses = {line["key"]: line["status"] for line in failed}
    assert statuses == {UIDS[3]: "invalid"} | dict.fromkeys([UIDS[5], "7", "8"], "missing")
    (rejected,) = read_jsonl(folder / "rejected.jsonl")
    assert rejected["item"] == UIDS[3]
    assert next(line for line in failed if line["key"] == UIDS[3])["column"] == rejected["column"]
    with gzip.open(folder / "user_profiles.csv.gz", "rt", encoding="utf-8") as file:
        assert file.readline().startswith('"source","server","user_id"')


def test_a_retried_batch_counts_its_requests_and_no_item_twice(pipeline, sending):
    """The first try gives up after five requests, the second needs one more."""
    pipeline.simulator.control(uids={UIDS[3]: "http_500"}, first_attempts=5)
    run = pipeline.run(user_ids=UIDS[:10], batch_size=10, retries=1)
    sending.settled()
    assert run.manifest["requests"] == 9 + 6
    assert sending.value("fanfold_requests_total") == 9 + 6
    # Four of the five were put back; the fifth ended the try.
    assert sending.value("fanfold_request_retries_total") == 4
    assert sending.by("kind", "fanfold_wait_seconds_total")["backoff"] > 0
    assert outcomes(sending) == {"ok": 10}


def test_a_run_whose_failures_are_not_tolerated_publishes_nothing_and_is_counted_as_refused(
    pipeline, sending
):
    """Failed items count, nothing is sent, and the time of the last success stays unset."""
    pipeline.simulator.control(uids={UIDS[0]: "drop"})
    run = pipeline.run(user_ids=UIDS[:4], batch_size=2)
    assert run.state == "failed"
    assert run.states["batch.fetch", 0] == run.states["consolidate", -1] == "failed"
    assert "1 of 4 items are failed or invalid (25.0%)" in run.error("consolidate")
    assert run.states["publish", -1] == run.states["load", -1] == "upstream_failed"
    assert pipeline.objects() == []
    sending.settled()
    assert outcomes(sending) == {"ok": 3, "failed": 1}
    assert sending.by("status", "fanfold_runs_total") == {"refused": 1}
    assert sending.value("fanfold_sent_bytes_total") == 0
    assert sending.values("fanfold_last_success_timestamp_seconds") == {}
    ran = sending.by("stage", "fanfold_stage_duration_seconds_count")
    assert set(ran) == {"preflight", "read_items", "plan", "fetch", "process"}
    assert ran["fetch"] == 1


def test_a_deferred_batch_counts_its_wait_as_one_for_the_quota(
    pipeline, sending, monkeypatch, capsys
):
    """The quota is full again after some seconds, which is longer than a task keeps its slot."""
    monkeypatch.setenv("FANFOLD_DEFER_AFTER", "0.5")
    pipeline.simulator.control(quota_per_hour=6, quota_window_s=3)
    run = pipeline.run(user_ids=UIDS[:8], batch_size=8)
    sending.settled()
    assert run.state == "success"
    deferrals = sending.value("fanfold_deferrals_total", **OF_PIPELINE)
    assert deferrals >= 1
    assert "To end the pause early, delete the file " in capsys.readouterr().out
    waited = sending.by("kind", "fanfold_wait_seconds_total")
    assert 0.5 < waited["quota"] < 6 * deferrals
    assert sending.value("fanfold_requests_total") == asked_for_users(pipeline.simulator)
    assert outcomes(sending) == {"ok": 8}


def test_a_consolidation_interrupted_after_its_manifest_counts_no_item_twice(
    pipeline, sending, monkeypatch
):
    from fanfold.stages.consolidating import tolerance

    check_tolerance = tolerance.check_tolerance
    cuts = iter([OSError("cut off")])

    def cut(*arguments):
        if error := next(cuts, None):
            raise error
        check_tolerance(*arguments)

    monkeypatch.setattr(tolerance, "check_tolerance", cut)
    run = pipeline.run(user_ids=UIDS[:3], batch_size=3, retries=1)
    sending.settled()
    assert run.state == "success"
    assert sending.value("airflow_ti_failures_total", task_id="consolidate") == 1
    assert outcomes(sending) == {"ok": 3}
    assert sending.by("status", "fanfold_runs_total") == {"complete": 1}
