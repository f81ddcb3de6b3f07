"""Airflow's own processes with metrics on: schedulers that live, and tasks that live for seconds."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from fanfold.local.stack import running_stack
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
        told = ExportMetricsServiceRequest.FromString(body)
        for resource in told.resource_metrics:
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


@contextmanager
def finished_run(folder, environment):
    """A stack with these settings, behind one run; its processes have ended afterwards."""
    with running_stack(folder, extra_env=environment) as stack:
        run_id = stack.trigger(DAG, {"user_ids": UIDS, "batch_size": 3})
        assert stack.wait(DAG, run_id, timeout=120) == "success"
        yield read_json(Workspace.of_run(stack.home.shared, DAG, run_id).manifest)


def used():
    """The names of Airflow's metrics that alerts and dashboard ask for, and that no fault makes."""
    files = ("alerts.yml", "dashboard.json")
    said = "".join((MONITORING / name).read_text("utf-8") for name in files)
    faults = "fail|killed|celery|deferred"
    return {name for name in re.findall(r"\bairflow_\w+", said) if not re.search(faults, name)}


def test_statsd_hears_of_every_task_process_and_of_all_that_is_asked_for(
    receiver, cluster_metrics, tmp_path
):
    seen_in_each_state = {
        # By default each half minute, and the run is over before.
        "AIRFLOW__SCHEDULER__TI_METRICS_INTERVAL": "0.1",
        # The batches wait for each other.
        "AIRFLOW__CORE__PARALLELISM": "1",
    }
    environment = {**cluster_metrics, **seen_in_each_state}
    with finished_run(tmp_path / "stack", environment) as manifest:
        receiver.settled()
        assert receiver.by("outcome", "fanfold_items_total") == {"ok": len(UIDS)}
        assert receiver.value("fanfold_requests_total", dag_id=DAG) == manifest["requests"]
        ran = receiver.by("stage", "fanfold_stage_duration_seconds_count")
        assert (ran["fetch"], ran["process"], ran["report"]) == (4, 4, 1)
        asked_for = used()
        assert len(asked_for) > 20
        # Some come each minute.
        receiver.eventually(lambda: asked_for <= receiver.names(), seconds=90)
        assert receiver.value("statsd_exporter_sample_errors_total") == 0


def test_opentelemetry_hears_of_every_task_process_before_it_ends(collector, tmp_path):
    """Rises, not totals: each process begins at zero, and nobody could tell their totals apart."""
    environment = {
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "AIRFLOW__METRICS__LEGACY_NAMES_ON": "False",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        "OTEL_SERVICE_NAME": "fanfold",
    }
    with finished_run(tmp_path / "stack", environment) as manifest:
        pass
    assert collector.deltas
    assert all(collector.deltas)
    assert collector.sum("airflow.fanfold.items", outcome="ok") == len(UIDS)
    assert collector.sum("airflow.fanfold.requests", dag_id=DAG) == manifest["requests"]
    assert collector.sum("airflow.ti.finish", state="success") == 7 + 2 * 4
