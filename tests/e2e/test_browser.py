"""The trigger form of Airflow's UI, in Chromium."""

from __future__ import annotations

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
