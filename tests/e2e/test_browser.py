"""The pipeline as a person sees it in Airflow's UI, and its report, in Chromium."""

from __future__ import annotations

import re

import pytest

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"


def log_in(page, stack, path):
    page.goto(stack.url + path)
    page.locator("input").first.fill(stack.login)
    page.locator("input[type=password]").fill(stack.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{path}")


def test_pressing_trigger_in_the_form_runs_the_pipeline_and_the_graph_shows_it(stack, page):
    """The defaults of the form work; each section of it opens; the graph has every step."""
    stack.wait_for_dag(DAG)
    log_in(page, stack, f"/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    for section, name in [
        ("Items to fetch", "items_uri"),
        ("Rate and concurrency", "concurrency"),
        ("Failure handling", "tolerated_failure_percentage"),
    ]:
        page.get_by_role("button", name=section).click()
        page.locator(f"input[name=element_{name}]").wait_for()
    page.get_by_role("button", name="Trigger").last.click()
    page.wait_for_url(re.compile(r"/runs/manual__"))
    run_id = page.url.split("/runs/")[1].split("?")[0].split("/")[0].replace("%2B", "+")
    assert stack.wait(DAG, run_id, timeout=120) == "success"

    page.get_by_text("1404376560").first.wait_for()
    page.goto(f"{stack.url}/dags/{DAG}")
    page.get_by_label(re.compile("^Show Graph")).first.click()
    shown = page.locator(".react-flow__node")
    for task in ("preflight", "read_items", "plan", "consolidate", "publish", "load", "report"):
        shown.filter(has_text=task).first.wait_for()


def test_a_wrong_value_is_refused_by_the_form_with_its_name(stack, page):
    stack.wait_for_dag(DAG)
    before = stack.api("GET", f"/api/v2/dags/{DAG}/dagRuns")["total_entries"]
    log_in(page, stack, f"/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("button", name="Items to fetch").click()
    page.locator("input[name=element_items_uri]").fill("/etc/passwd")
    page.get_by_role("button", name="Trigger").last.click()
    page.get_by_text("Invalid input for param items_uri").first.wait_for()
    assert stack.api("GET", f"/api/v2/dags/{DAG}/dagRuns")["total_entries"] == before
