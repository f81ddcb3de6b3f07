"""Metrics over OpenTelemetry: each task process sends what it counted before it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

# Two task processes as Airflow's supervisor forks and ends them.
TASKS = """
import os, uuid
from airflow.sdk.configuration import conf
from airflow.sdk.execution_time.supervisor import WatchedSubprocess
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from fanfold.airflow import metrics
from fanfold.model import Counts, Manifest, RunStatus

NOW = "2026-01-01T00:00:00.000Z"
MANIFEST = Manifest("w", "r", NOW, RunStatus.COMPLETE, Counts(3, ok=3), (), 3, NOW, NOW, rows=3)

def task():
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
    metrics.decided(MANIFEST, "weibo", None)

for _ in range(2):
    process = WatchedSubprocess.start(target=task, id=uuid.uuid4())
    assert os.waitpid(process.pid, 0)[1] == 0
"""


class Collector(BaseHTTPRequestHandler):
    """Receives counters over OTLP/HTTP: (name, attributes, value, temporality)."""

    def do_POST(self):
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
            ExportMetricsServiceRequest,
        )

        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
                if not metric.sum.is_monotonic:
                    continue
                for point in metric.sum.data_points:
                    attributes = {pair.key: pair.value.string_value for pair in point.attributes}
                    value = point.as_int if point.HasField("as_int") else point.as_double
                    temporality = metric.sum.aggregation_temporality
                    self.server.points.append((metric.name, attributes, value, temporality))
        self.send_response(200 if self.path == "/v1/metrics" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        server.points = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_collector_receives_deltas_of_each_task_process(collector, airflow_home):
    """Each process starts at zero: totals of several processes could not be added."""
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
    delta = 1  # AGGREGATION_TEMPORALITY_DELTA
    assert {temporality for *_, temporality in collector.points} == {delta}
    assert (
        sum(
            value
            for name, attributes, value, _ in collector.points
            if name == "airflow.fanfold.items" and attributes["outcome"] == "ok"
        )
        == 2 * 3
    )
