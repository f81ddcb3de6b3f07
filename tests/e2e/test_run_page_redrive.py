"""Failed users are redriven from the page, on Airflow's scheduler, and become ok."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

import pytest

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"


def redrive(page, button, *lines):
    """Press a button, read what it would cost, and confirm."""
    page.get_by_role("button", name=button).first.click()
    dialog = page.get_by_role("dialog")
    for line in lines:
        dialog.get_by_text(line, exact=False).wait_for()
    dialog.get_by_role("button", name="Redrive", exact=True).click()
    dialog.wait_for(state="detached")
    # An earlier redrive's message may be there still.
    page.get_by_text(f"Redrive started: {lines[0]}").wait_for()


def test_failed_users_are_redriven_and_become_ok(
    stack, simulator, runs, visitor, page, number, unfolded
):
    """All that failed; then the unknown ones, which are answers and only run when chosen."""
    users = [*runs.users[60:112], *runs.broken, *runs.unknown]
    tolerated = {"tolerated_failure_percentage": 10, "tolerated_rejected_percentage": 10}
    run_id = runs.run(users, disturbed=True, batch_size=20, update_latest="yes", **tolerated)
    visitor.alone(run_id)
    page.get_by_text("Partial", exact=True).wait_for()
    assert (number(page, "invalid"), number(page, "missing")) == (5, 3)
    unfolded(page, runs.broken[0])
    page.get_by_role("checkbox", name=f"Select {runs.broken[0]}").wait_for()
    assert page.get_by_role("button", name="Redrive selected").is_disabled()
    redrive(page, "Redrive all failed", "5 items", "5 requests", "1 batch")
    page.get_by_text("Complete", exact=True).wait_for(timeout=90_000)
    assert (number(page, "invalid"), number(page, "missing")) == (0, 3)
    assert simulator.stats(all_uids=True)["uids"] == dict.fromkeys(runs.broken, 1)

    simulator.reset()
    page.get_by_role("checkbox", name=re.compile("Select all items.*no such user")).check()
    redrive(page, "Redrive selected", "3 items", "3 requests")
    page.get_by_text("No item of this run is missing, invalid or failed.").wait_for(timeout=90_000)
    assert number(page, "ok") == 60
    assert stack.wait(DAG, run_id, timeout=60) == "success"
    assert simulator.stats(all_uids=True)["uids"] == dict.fromkeys(runs.unknown, 1)
    counts = runs.counts(run_id)
    assert counts == {"planned": 60, "ok": 60, "missing": 0, "invalid": 0, "failed": 0}

    # What the redrives found has reached bucket, warehouse and the readers of the asset.
    latest = stack.s3().get_object(Bucket="fanfold", Key=f"{DAG}/latest.json")["Body"].read()
    assert json.loads(latest)["run_id"] == run_id
    with closing(sqlite3.connect(stack.home.warehouse)) as connection:
        found = connection.execute("SELECT ok FROM fanfold_runs WHERE run_id = ?", [run_id])
        assert found.fetchall() == [(60,)]
    events = stack.api("GET", "/api/v2/assets/events", params={"source_run_id": run_id})
    published = [
        (each["extra"]["status"], each["extra"]["counts"]["ok"]) for each in events["asset_events"]
    ]
    assert sorted(published) == [("complete", 57), ("complete", 60), ("partial", 52)]

    # An item that is here may be fetched again, too.
    search = page.get_by_label("Find by key or name (user)")
    search.fill(runs.users[67])
    search.press("Enter")
    page.get_by_role("button", name="Fetch again").first.click()
    page.get_by_role("dialog").get_by_text("1 request").wait_for()
