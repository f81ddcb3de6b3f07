"""Spent quotas and refused tokens on Airflow's scheduler."""

from __future__ import annotations

import json
import os
import re
from collections import Counter

DAG = "weibo_user_profiles"
UIDS = [str(1404376560 + number) for number in range(200)]


def log_of(stack, run_id, task_id, map_index=-1):
    path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
    answer = stack.api("GET", path, params={"map_index": map_index, "full_content": "true"})
    return json.dumps(answer, ensure_ascii=False)


def test_a_spent_quota_defers_the_task_and_shows_the_reset(stack, simulator, runs):
    """Windows of twelve seconds, and tasks that keep their slot for three: both batches defer."""
    simulator.control(quota_per_hour=4, quota_window_s=12)
    run_id = stack.trigger(DAG, {"user_ids": UIDS[:8], "batch_size": 4, "concurrency": 2})
    labels = set()
    while stack.run_state(DAG, run_id) not in {"success", "failed"}:
        labels |= {
            instance["rendered_map_index"]
            for instance in runs.instances(run_id, "batch.fetch")
            if instance["state"] == "deferred"
        }
    assert stack.run_state(DAG, run_id) == "success"
    assert labels
    assert all(
        re.fullmatch(r"items \d–\d · waits until \d\d:\d\d:\d\d UTC", label) for label in labels
    )
    ended = {i["rendered_map_index"] for i in runs.instances(run_id, "batch.fetch")}
    assert ended == {"items 1–4", "items 5–8"}
    logs = [log_of(stack, run_id, "batch.fetch", number) for number in (0, 1)]
    assert any(re.search(r"resuming at 20\d\d-\d\d-\d\dT", log) for log in logs)
    assert runs.counts(run_id)["ok"] == 8


def test_a_refused_token_stops_the_map_and_a_new_one_resumes_it(stack, simulator, runs):
    """20 batches: those that run stop, the others are skipped; the source gets few requests."""
    simulator.control(token_expires_after=20)
    conf = {"items_uri": runs.listed(UIDS), "batch_size": 10, "concurrency": 2}
    run_id = stack.trigger(DAG, conf)
    assert stack.wait(DAG, run_id, timeout=180) == "failed"
    instances = runs.instances(run_id, "batch.fetch")
    fetched = Counter(instance["state"] for instance in instances)
    assert fetched.total() == 20
    assert fetched["skipped"] >= 6
    assert fetched["failed"] <= 12
    assert fetched["up_for_retry"] == 0
    answers = simulator.stats()["statuses"]
    refused = sum(count for status, count in answers.items() if status.startswith("4"))
    assert refused <= 2 * fetched["failed"]
    failed = next(each["map_index"] for each in instances if each["state"] == "failed")
    assert "21327" in log_of(stack, run_id, "batch.fetch", failed)

    simulator.reset()
    # A refusal counts for a minute: let it be over.
    os.utime(runs.workspace(run_id).stop, (0, 0))
    runs.clear(run_id, "batch.fetch")
    assert stack.wait(DAG, run_id, timeout=300) == "success"
    assert runs.counts(run_id)["ok"] == len(UIDS)
    asked = simulator.stats(all_uids=True)["uids"]
    assert set(asked.values()) == {1}
    assert len(asked) <= len(UIDS) - 20 + 1
