"""Metrics of Airflow's processes: of a scheduler, and of tasks that live for seconds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace

DAG = "weibo_user_profiles"
UIDS = [str(1404376560 + number) for number in range(12)]
MONITORING = Path(__file__).parents[3] / "config" / "monitoring"


class Collector(ThreadingHTTPServer):
    """Takes metrics over OTLP/HTTP, as a collector of OpenTelemetry does.

    Attributes:
        points: The values of counters that came: name, attributes, value.
        deltas: Whether each value was a rise since the one before, and not a total.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Takes)
        self.points = []
        self.deltas = []

    def sum(self, name, **attributes):
        """The sum of a counter over all processes that sent it."""
        wanted = attributes.items()
        return sum(
            value for found, said, value in self.points if found == name and wanted <= said.items()
        )


class _Takes(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        sent = ExportMetricsServiceRequest.FromString(body)
        for resource in sent.resource_metrics:
            for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
                if not metric.sum.is_monotonic:
                    continue
                for point in metric.sum.data_points:
                    said = {pair.key: pair.value.string_value for pair in point.attributes}
                    value = point.as_int if point.HasField("as_int") else point.as_double
                    self.server.points.append((metric.name, said, value))
                    # AGGREGATION_TEMPORALITY_DELTA
                    self.server.deltas.append(metric.sum.aggregation_temporality == 1)
        self.send_response(200 if self.path == "/v1/metrics" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    with Collector() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


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
    receiver.eventually(lambda: asked_for <= receiver.names(), seconds=90)
    assert receiver.value("statsd_exporter_sample_errors_total") == 0


# Two task processes as Airflow's supervisor forks and ends them.
TASKS = """
import os, uuid
from airflow.sdk.configuration import conf
from airflow.sdk.execution_time.supervisor import WatchedSubprocess
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from fanfold.airflow import metrics
from fanfold.model import Counts

def task():
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
    metrics.decided("w", "weibo", Counts(3, ok=3), Counts())

for _ in range(2):
    process = WatchedSubprocess.start(target=task, id=uuid.uuid4())
    assert os.waitpid(process.pid, 0)[1] == 0
"""


def test_opentelemetry_receives_the_metrics_of_every_task_process(collector, airflow_home):
    """Deltas, not totals: each process starts at zero, and totals of several could not be added."""
    environment = {
        **os.environ,
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "AIRFLOW__METRICS__LEGACY_NAMES_ON": "False",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        "OTEL_SERVICE_NAME": "fanfold",
    }
    assert airflow_home.is_dir()
    subprocess.run([sys.executable, "-W", "ignore", "-c", TASKS], env=environment, check=True)
    assert collector.deltas
    assert all(collector.deltas)
    assert collector.sum("airflow.fanfold.items", outcome="ok") == 2 * 3
