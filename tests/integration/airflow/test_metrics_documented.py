"""Code, mapping, alerts, dashboard and docs/metrics.md agree on the metrics."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "config" / "monitoring"
SUFFIXES = {"counter": [""], "gauge": [""], "timer": ["_bucket", "_sum", "_count"]}
"""What Prometheus has of a metric: a timer becomes a histogram."""


@pytest.fixture
def ours(airflow_home):
    """All metrics of Fanfold."""
    assert airflow_home.is_dir()
    from fanfold.airflow import metrics

    return metrics.ALL


@pytest.fixture(scope="module")
def mapped():
    """Fanfold's names in Prometheus by those in StatsD, of the mapping file."""
    parsed = yaml.safe_load((MONITORING / "statsd.yaml").read_text("utf-8"))["mappings"]
    return {
        each["match"]: each["name"]
        for each in parsed
        if each["match"].startswith("airflow.fanfold.")
    }


@pytest.fixture(scope="module")
def airflows():
    """Airflow's names as Prometheus has them, of the registry in the installed package."""
    (package,) = find_spec("airflow").submodule_search_locations
    registry = Path(package) / "_shared" / "observability" / "metrics" / "metrics_template.yaml"
    units = {"counter": "_total", "gauge": "", "timer": "_seconds"}
    return {
        "airflow_" + each["name"].replace(".", "_") + units[each["type"]] + suffix
        for each in yaml.safe_load(registry.read_text("utf-8"))["metrics"]
        for suffix in SUFFIXES[each["type"]]
    }


def expressions():
    """All that alerts and dashboard ask Prometheus for."""
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"]
    board = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    variables = [each["definition"] for each in board["templating"]["list"] if "definition" in each]
    return [
        *(rule["expr"] for group in groups for rule in group["rules"]),
        *(target["expr"] for panel in board["panels"] for target in panel.get("targets", ())),
        *variables,
    ]


def asked_for(prefix):
    return set(re.findall(rf"\b{prefix}\w+", " ".join(expressions())))


def rows(heading):
    """The rows of the table under a heading of docs/metrics.md: the cells, without marks of code."""
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\| `.*\|$", section, re.MULTILINE)
    return [
        [cell.strip() for cell in line.strip("|").replace("`", "").split("|")] for line in lines
    ]


def test_mapping_and_page_list_every_metric_of_ours(ours, mapped):
    assert set(mapped) == {f"airflow.{metric.name}" for metric in ours}
    listed = [(name, prometheus, kind, tags) for name, prometheus, kind, tags, *_ in rows("Ours")]
    assert sorted(listed) == sorted(
        (metric.name, mapped[f"airflow.{metric.name}"], str(metric.kind), ", ".join(metric.tags))
        for metric in ours
    )


def test_alerts_and_dashboard_use_every_metric_of_ours(ours, mapped):
    there = {
        mapped[f"airflow.{metric.name}"] + suffix: metric.name
        for metric in ours
        for suffix in SUFFIXES[metric.kind]
    }
    asked = asked_for("fanfold_")
    assert asked <= set(there)
    assert {there[name] for name in asked} == {metric.name for metric in ours}


def test_airflow_metrics_in_use_are_in_its_registry_and_on_the_page(airflows):
    asked = asked_for("airflow_")
    assert len(asked) > 20
    assert asked <= airflows
    listed = {name for name, *_ in rows("Airflow's")}
    assert listed == {re.sub("_(bucket|sum|count)$", "", name) for name in asked}


def test_every_alert_is_on_the_page_with_its_severity():
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"]
    alerts = [rule for group in groups for rule in group["rules"]]
    listed = [(name, severity) for name, severity, *_ in rows("Alerts")]
    assert listed == [(rule["alert"], rule["labels"]["severity"]) for rule in alerts]


def test_every_alert_links_to_its_section_of_the_runbook():
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"]
    places = [rule["annotations"]["runbook"] for group in groups for rule in group["rules"]]
    assert len(set(places)) == len(places)
    headings = re.findall(
        r"^### (.+)$", (ROOT / "docs" / "operations.md").read_text("utf-8"), re.MULTILINE
    )
    there = {f"docs/operations.md#{name.lower().replace(' ', '-')}" for name in headings}
    assert set(places) <= there
