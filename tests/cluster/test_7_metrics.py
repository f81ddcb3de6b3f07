"""Prometheus knows what the runs did, through the receiver of the cluster."""

from __future__ import annotations

import re

import driver
import pytest


@pytest.fixture
def ask(cluster):
    """Return the value of a PromQL expression; None where nothing is there yet."""

    def value(expression):
        told = cluster.compose.execute(
            cluster.one("prometheus"),
            *("promtool", "query", "instant", "http://127.0.0.1:9090", expression),
        )
        found = re.search(r"=> ([0-9.e+]+) @", told)
        return float(found[1]) if found else None

    return value


def test_counters_of_a_run_arrive_from_all_workers(cluster, ask):
    items = 'sum(fanfold_items_total{dag_id="weibo_user_profiles",outcome="ok"})'
    requests = 'sum(fanfold_requests_total{dag_id="weibo_user_profiles"})'
    before = {name: ask(name) or 0 for name in (items, requests)}
    cluster.calm()
    run_id = cluster.start()
    cluster.wait(run_id)
    manifest = cluster.manifest(run_id)
    driver.eventually(
        lambda: (ask(items) or 0) - before[items] == manifest["counts"]["ok"],
        within=60,
        what="the items in Prometheus",
    )
    assert (ask(requests) or 0) - before[requests] == manifest["requests"]


def test_components_are_seen_and_no_alert_of_a_dead_one_fires(ask):
    assert ask("sum(increase(airflow_scheduler_heartbeat_total[5m]))") > 0
    assert ask('count(ALERTS{alertstate="firing",alertname=~".*Gone"})') is None
