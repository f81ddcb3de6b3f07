"""Prometheus with the files of config/monitoring: what it reads, computes and warns of."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import yaml

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

HERE = Path(__file__).parent
MONITORING = HERE.parents[2] / "config" / "monitoring"


def expressions():
    """The expressions of the dashboard, as Grafana asks them for all pipelines."""
    board = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(asked) > 40
    return [expr.replace("$__rate_interval", "1m").replace("$dag_id", ".*") for expr in asked]


def until(look, seconds=60):
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_promtool_accepts_configuration_and_rules(promtool):
    promtool("check", "config", MONITORING / "prometheus.yml")
    promtool("check", "rules", MONITORING / "alerts.yml")


def test_each_alert_fires_only_on_its_condition(promtool):
    promtool("test", "rules", HERE / "alerts_test.yml")


def test_every_alert_is_in_that_test():
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    fired = re.findall(
        r'alertname="(\w+)",alertstate', (HERE / "alerts_test.yml").read_text("utf-8")
    )
    assert set(fired) == alerts


def test_a_refused_run_raises_an_alert_in_prometheus(prometheus, sending):
    """The plan lets the counter begin, the gate raises it. The dashboard's questions are understood."""
    from fanfold.airflow import metrics

    assert sending
    metrics.announce("weibo_user_profiles", "weibo_user_profiles")
    until(lambda: prometheus.value('fanfold_runs_total{status="refused"}') == 0)
    metrics.judged("weibo_user_profiles", metrics.REFUSED)
    until(lambda: "FanfoldRunRefused" in prometheus.firing())
    said = prometheus.firing()["FanfoldRunRefused"]
    assert said["summary"] == "Too many items of a run of weibo_user_profiles failed."
    for expression in expressions():
        assert prometheus.ask("query", query=expression) is not None, expression
