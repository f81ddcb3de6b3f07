"""A StatsD receiver as in a cluster, and Airflow configured with the cluster's settings."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "config" / "monitoring"
STANDIN = ROOT / "tests" / "tools" / "statsd_exporter.py"


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(look, what, seconds=30):
    """Look until there is something to see; return it."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return seen


def get(port, path):
    """Return the body that a server on loopback answers with, or None while it does not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
    except OSError:
        return None
    finally:
        connection.close()
    return body if answer.status == 200 else None


@contextmanager
def started(command, log):
    """Run a server until the block ends; its output goes to a file."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as made:
        try:
            yield made
        finally:
            made.send_signal(signal.SIGTERM)
            try:
                made.wait(20)
            except subprocess.TimeoutExpired:
                made.kill()


class Receiver:
    """A running statsd_exporter."""

    def __init__(self, statsd, web):
        self.statsd = statsd
        self.web = web

    def samples(self):
        """Everything that there is."""
        from prometheus_client.parser import text_string_to_metric_families

        families = text_string_to_metric_families(get(self.web, "/metrics"))
        return [sample for family in families for sample in family.samples]

    def values(self, name):
        """The values of a metric: its labels as a frozenset of pairs, and how much it is."""
        found = [sample for sample in self.samples() if sample.name == name]
        return {frozenset(sample.labels.items()): sample.value for sample in found}

    def value(self, name, **labels):
        """The sum over all values of a metric that have these labels."""
        wanted = labels.items()
        return sum(value for found, value in self.values(name).items() if wanted <= set(found))

    def by(self, label, name):
        """The values of a metric by one of its labels; what is zero is left out."""
        found = self.values(name).items()
        return {dict(labels)[label]: value for labels, value in found if value}

    def settled(self):
        """Wait until everything that was sent before is counted: UDP keeps its order on loopback."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            before = self.value("airflow_end_of_test_total")
            sender.sendto(b"airflow.end_of_test:1|c", ("127.0.0.1", self.statsd))
        eventually(lambda: self.value("airflow_end_of_test_total") > before, "the receiver counts")


@contextmanager
def receiving(folder, statsd):
    """Run statsd_exporter on this UDP port; a stand-in of ours where it is not on PATH."""
    real = shutil.which("statsd_exporter")
    made = Receiver(statsd, free_port())
    command = [
        *([real, "--statsd.listen-tcp="] if real else [sys.executable, str(STANDIN)]),
        f"--statsd.mapping-config={MONITORING / 'statsd.yaml'}",
        f"--statsd.listen-udp=127.0.0.1:{made.statsd}",
        f"--web.listen-address=127.0.0.1:{made.web}",
    ]
    with started(command, folder / "statsd_exporter.log"):
        eventually(lambda: get(made.web, "/metrics"), "statsd_exporter starts")
        yield made


@pytest.fixture
def receiver(tmp_path):
    """A statsd_exporter of this test."""
    with receiving(tmp_path, free_port(socket.SOCK_DGRAM)) as made:
        yield made


@pytest.fixture
def stack_receiver(tmp_path, statsd_port):
    """A statsd_exporter on the port that the shared stack sends to."""
    with receiving(tmp_path, statsd_port) as made:
        yield made


@pytest.fixture
def sending(airflow_home, metrics_settings, receiver, monkeypatch):
    """Airflow in this process sends to the receiver, as the components of a cluster do."""
    assert airflow_home.is_dir()
    for name, value in metrics_settings(receiver.statsd).items():
        monkeypatch.setenv(name, value)
    from airflow.sdk.configuration import conf
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics import stats_utils

    def begin():
        stats.initialize(
            factory=stats_utils.get_stats_factory(),
            export_legacy_names=conf.getboolean("metrics", "legacy_names_on"),
        )

    begin()
    yield receiver
    for name in os.environ:
        if name.startswith("AIRFLOW__METRICS__"):
            monkeypatch.delenv(name)
    begin()


def tool(name):
    """The path of a program of Debian's package of Prometheus."""
    found = shutil.which(name)
    if found is None:
        reason = "Prometheus is not installed: apt-get install prometheus"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def promtool():
    """Runs promtool; returns what it said, and fails where it found fault."""
    path = tool("promtool")

    def run(*arguments):
        done = subprocess.run(
            [path, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port):
        self.port = port

    def ask(self, path, **parameters):
        """What its API answers."""
        body = get(self.port, f"/api/v1/{path}?{urlencode(parameters)}")
        return json.loads(body)["data"] if body else None

    def value(self, expression):
        """The one value of an expression, or None while it has none."""
        found = (self.ask("query", query=expression) or {"result": []})["result"]
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def firing(self):
        """The annotations of the alerts that fire, by name."""
        alerts = (self.ask("alerts") or {"alerts": []})["alerts"]
        return {
            alert["labels"]["alertname"]: alert["annotations"]
            for alert in alerts
            if alert["state"] == "firing"
        }


@pytest.fixture
def prometheus(receiver, tmp_path):
    """A Prometheus with the cluster's files, which reads from the receiver, and more often."""
    parsed = yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))
    (scrape,) = parsed["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["statsd:9102"]}]
    scrape["static_configs"] = [{"targets": [f"127.0.0.1:{receiver.web}"]}]
    parsed["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
    parsed["rule_files"] = [str(MONITORING / rules) for rules in parsed["rule_files"]]
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml.safe_dump(parsed))
    made = Prometheus(free_port())
    command = [
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{made.port}",
    ]
    with started(command, tmp_path / "prometheus.log"):
        eventually(lambda: made.value("up") == 1, "Prometheus reads from the receiver")
        yield made
