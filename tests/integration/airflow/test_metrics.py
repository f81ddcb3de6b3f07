"""Fanfold's metrics: what is sent over UDP, and that none fails a task."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from fanfold.model import Counts, Manifest, RunStatus
from fanfold.stages.fetching.counters import Counters
from fanfold.storage.objects import PublishedObject

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def metrics(airflow_home):
    assert airflow_home.is_dir()
    from fanfold.airflow import metrics

    return metrics


class Receiver:
    """A socket that metrics are sent to."""

    def __init__(self, listener):
        self._socket = listener

    def lines(self):
        """What has come since the last call: name, tags and value of each."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", self._socket.getsockname())
        found = []
        while (packet := self._socket.recv(65_535)) != b"end":
            head, _, value = packet.decode().partition(":")
            name, *tags = head.split(",")
            found.append((name, dict(tag.split("=") for tag in tags), value))
        return found


@pytest.fixture
def receiver(airflow_home, metrics_settings, monkeypatch):
    """Metrics over UDP, with the settings of config/cluster.env."""
    assert airflow_home.is_dir()
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics import stats_utils

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        with monkeypatch.context() as patch:
            for name, value in metrics_settings(listener.getsockname()[1]).items():
                patch.setenv(name, value)
            stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
            yield Receiver(listener)
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


def manifest(counts, rows, rejected, started_at="2026-01-01T00:00:00.000Z"):
    return Manifest(
        dag_id="w", run_id="r", logical_date=started_at, status=RunStatus.COMPLETE, counts=counts,
        files=(), requests=1, started_at=started_at, finished_at=started_at, rows=rows,
        rejected=rejected,
    )  # fmt: skip


def emit_each(metrics):
    """Let each metric be emitted, once or more often."""
    metrics.announce("w", "profiles")
    metrics.fetched("w", "profiles", Counters(3, 1, 0.25, 0.5))
    metrics.deferred("w", "profiles", 60.0)
    metrics.decided(manifest(Counts(2, ok=2), 5, 1), "profiles", None)
    metrics.judged("w", metrics.REFUSED)
    metrics.sent("w", "publish", [])
    metrics.succeeded(replace(manifest(Counts(), 0, 0), mode="merge", pending=2))
    metrics.loaded("w", 2)
    metrics.took("w", "plan", 1.5)


def test_each_metric_is_sent_with_the_tags_and_the_kind_that_it_declares(
    metrics, receiver, tmp_path, monkeypatch
):
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(tmp_path))
    emit_each(metrics)
    kinds = {"c": "counter", "g": "gauge", "ms": "timer"}
    sent = {
        (name, kinds[value.split("|")[1]], tuple(tags)) for name, tags, value in receiver.lines()
    }
    assert sent == {(f"airflow.{each.name}", str(each.kind), each.tags) for each in metrics.ALL}


def test_every_counter_begins_at_zero(metrics, receiver):
    """Each outcome, status and kind of wait, so that the first failure is a rise."""
    metrics.announce("w", "profiles")
    lines = receiver.lines()
    assert {value for _, _, value in lines} == {"0|c"}
    counters = {f"airflow.{each.name}" for each in metrics.ALL if each.kind == "counter"}
    assert {name for name, _, _ in lines} == counters
    by = {tag: {tags[tag] for _, tags, _ in lines if tag in tags} for tag in ("outcome", "status")}
    assert by["outcome"] == {"ok", "missing", "invalid", "failed"}
    assert by["status"] == {"complete", "partial", "empty", "refused"}


def counted(receiver):
    """The counts of the items by outcome, and those of the rows by name."""
    return {tags.get("outcome", name): value for name, tags, value in receiver.lines()}


def test_only_the_increase_since_the_last_consolidation_is_counted(metrics, receiver):
    """A redrive has made three failed items good, and found that one is missing."""
    before = manifest(Counts(10, ok=5, missing=1, failed=4), rows=50, rejected=3)
    after = manifest(Counts(10, ok=8, missing=2), rows=57, rejected=2)
    metrics.decided(after, "profiles", before)
    rows = {"airflow.fanfold.rows": "7|c", "airflow.fanfold.rows_rejected": "0|c"}
    items = {"ok": "3|c", "missing": "1|c", "invalid": "0|c", "failed": "0|c"}
    assert counted(receiver) == {**items, **rows}


def test_objects_already_in_the_bucket_are_not_counted_as_sent(metrics, receiver):
    objects = [
        PublishedObject("a", 100, "0" * 64, sent=True),
        PublishedObject("b", 30, "0" * 64, sent=False),
    ]
    metrics.sent("w", "publish", objects)
    assert receiver.lines() == [
        ("airflow.fanfold.bytes", {"dag_id": "w", "stage": "publish"}, "100|c")
    ]


class Broken:
    """A client that raises whatever it is asked."""

    def __getattr__(self, name):
        raise OSError(f"{name}: the receiver is unavailable")


def refuses():
    raise OSError("no client can be made")


@pytest.mark.parametrize("factory", [Broken, refuses])
def test_a_metric_that_cannot_be_emitted_is_logged_and_fails_no_task(
    metrics, receiver, caplog, factory
):
    metrics.stats.initialize(factory=factory, export_legacy_names=False)
    emit_each(metrics)
    assert "A metric could not be emitted: OSError" in caplog.text
    assert receiver.lines() == []


def test_a_failing_body_reports_no_duration_and_raises_its_error(metrics, receiver):
    @metrics.timed
    def body():
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        body()
    assert receiver.lines() == []
