"""Prometheus has the metrics of runs, through the cluster's statsd_exporter."""

from __future__ import annotations

import re

import driver
import pytest


@pytest.fixture
def query(cluster):
    """Return the value of a PromQL expression, or None."""

    def value(expression):
        output = cluster.compose.execute(
            "prometheus", "promtool", "query", "instant", "http://127.0.0.1:9090", expression
        )
        found = re.search(r"=> ([0-9.e+]+) @", output)
        return float(found[1]) if found else None

    return value


def test_the_counters_of_a_run_arrive_from_all_workers(cluster, query):
    items = 'sum(fanfold_items_total{dag_id="weibo_user_profiles",outcome="ok"})'
    requests = 'sum(fanfold_requests_total{dag_id="weibo_user_profiles"})'
    before = {name: query(name) or 0 for name in (items, requests)}
    cluster.calm()
    run_id = cluster.start()
    cluster.wait(run_id)
    manifest = cluster.manifest(run_id)
    driver.eventually(
        lambda: (query(items) or 0) - before[items] == manifest["counts"]["ok"],
        within=60,
        what="the items in Prometheus",
    )
    assert (query(requests) or 0) - before[requests] == manifest["requests"]


def test_components_send_heartbeats_and_no_alert_fires_for_them(query):
    assert query("sum(increase(airflow_scheduler_heartbeat_total[5m]))") > 0
    assert query('count(ALERTS{alertstate="firing",alertname=~".*Gone"})') is None
