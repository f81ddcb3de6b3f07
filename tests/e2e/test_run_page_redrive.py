"""Chosen users are redriven from the page, on Airflow's scheduler, and become ok."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

import pytest

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"


def test_missing_users_are_redriven_and_become_ok(
    stack, simulator, runs, visitor, page, number, unfolded
):
    """Unknown users are answers, and only run when chosen."""
    users = [*runs.users[60:112], *runs.unknown]
    run_id = runs.run(users, disturbed=True, batch_size=20, update_latest="yes")
    visitor.alone(run_id)
    page.get_by_text("Complete", exact=True).wait_for()
    assert number(page, "missing") == 3
    unfolded(page, runs.unknown[0])
    page.get_by_role("checkbox", name=f"Select {runs.unknown[0]}").wait_for()
    assert page.get_by_role("button", name="Redrive all failed").first.is_disabled()
    selected = page.get_by_role("button", name="Redrive selected")
    assert selected.is_disabled()

    page.get_by_role("checkbox", name=re.compile("Select all items.*no such user")).check()
    selected.click()
    dialog = page.get_by_role("dialog")
    for line in ("3 items", "3 requests", "1 batch"):
        dialog.get_by_text(line, exact=False).wait_for()
    dialog.get_by_role("button", name="Redrive", exact=True).click()
    page.get_by_text("Redrive started: 3 items").wait_for()
    page.get_by_text("No item of this run is missing, invalid or failed.").wait_for(timeout=90_000)
    assert number(page, "ok") == 55
    assert stack.wait(DAG, run_id, timeout=60) == "success"
    assert simulator.stats(all_uids=True)["uids"] == dict.fromkeys(runs.unknown, 1)
    counts = runs.counts(run_id)
    assert counts == {"planned": 55, "ok": 55, "missing": 0, "invalid": 0, "failed": 0}

    # What the redrive found has reached bucket, warehouse and the readers of the asset.
    latest = stack.s3().get_object(Bucket="fanfold", Key=f"{DAG}/latest.json")["Body"].read()
    assert json.loads(latest)["run_id"] == run_id
    with closing(sqlite3.connect(stack.home.warehouse)) as connection:
        found = connection.execute("SELECT ok FROM fanfold_runs WHERE run_id = ?", [run_id])
        assert found.fetchall() == [(55,)]
    events = stack.api("GET", "/api/v2/assets/events", params={"source_run_id": run_id})
    published = [
        (each["extra"]["status"], each["extra"]["counts"]["ok"])
        for each in events["asset_events"]
        if each["name"] == DAG
    ]
    assert sorted(published) == [("complete", 52), ("complete", 55)]

    # An item that is here may be fetched again, too.
    search = page.get_by_label("Find by key or name (user)")
    search.fill(runs.users[67])
    search.press("Enter")
    page.get_by_role("button", name="Fetch again").first.click()
    page.get_by_role("dialog").get_by_text("1 request").wait_for()
