"""Metrics of Airflow's processes: of a scheduler, and of tasks that live for seconds."""

from __future__ import annotations

import re
import time
from pathlib import Path

from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace

DAG = "weibo_user_profiles"
UIDS = [str(1404376560 + number) for number in range(8)]
MONITORING = Path(__file__).parents[3] / "config" / "monitoring"


def used():
    """The names of Airflow's metrics that alerts and dashboard ask for, and that no fault makes."""
    files = ("alerts.yml", "dashboard.json")
    said = "".join((MONITORING / name).read_text("utf-8") for name in files)
    faults = "fail|killed|celery|deferred"
    return {name for name in re.findall(r"\bairflow_\w+", said) if not re.search(faults, name)}


def test_statsd_receives_the_metrics_of_every_task_and_all_that_alerts_use(stack, stack_receiver):
    receiver = stack_receiver
    # More batches than slots, so that some are seen waiting.
    run_id = stack.trigger(DAG, {"user_ids": UIDS, "batch_size": 1})
    assert stack.wait(DAG, run_id, timeout=120) == "success"
    manifest = read_json(Workspace.of_run(stack.home.shared, DAG, run_id).manifest)
    receiver.settled()
    assert receiver.by("outcome", "fanfold_items_total") == {"ok": len(UIDS)}
    assert receiver.value("fanfold_requests_total", dag_id=DAG) == manifest["requests"]
    ran = receiver.by("stage", "fanfold_stage_duration_seconds_count")
    assert (ran["fetch"], ran["process"], ran["report"]) == (len(UIDS), len(UIDS), 1)
    asked_for = used()
    assert len(asked_for) > 20
    # Some are sent once a minute.
    deadline = time.monotonic() + 90
    while missing := asked_for - {sample.name for sample in receiver.samples()}:
        assert time.monotonic() < deadline, missing
        time.sleep(0.5)
    assert receiver.value("statsd_exporter_sample_errors_total") == 0
