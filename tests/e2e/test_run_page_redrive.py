"""Failed users are redriven from the page, on Airflow's scheduler, and become ok."""

from __future__ import annotations

import re

import pytest

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"


def redrive(frame, button, *lines):
    """Press a button, read what it would cost, and confirm."""
    frame.get_by_role("button", name=button).first.click()
    dialog = frame.get_by_role("dialog")
    for line in lines:
        dialog.get_by_text(line, exact=False).wait_for()
    dialog.get_by_role("button", name="Redrive", exact=True).click()
    dialog.wait_for(state="detached")
    # An earlier redrive's message may be there still.
    frame.get_by_text(f"Redrive started: {lines[0]}").wait_for()


def test_failed_users_are_redriven_and_become_ok(
    stack, simulator, runs, visitor, page, number, unfolded
):
    """All that failed; then the unknown ones, which are answers and only run when chosen; then one
    that is here already."""
    users = [*runs.users[60:112], *runs.broken, *runs.unknown]
    tolerated = {"tolerated_failure_percentage": 10, "tolerated_rejected_percentage": 10}
    run_id = runs.run(users, disturbed=True, batch_size=20, **tolerated)
    frame = visitor(page).items_tab(run_id)
    frame.get_by_text("Partial", exact=True).wait_for()
    assert (number(frame, "invalid"), number(frame, "missing")) == (5, 3)
    unfolded(frame)
    frame.get_by_role("checkbox", name=f"Select {runs.broken[0]}").wait_for()
    assert frame.get_by_role("button", name="Redrive selected").is_disabled()

    redrive(frame, "Redrive all failed", "5 items", "5 requests", "1 batch")
    frame.get_by_text("Complete", exact=True).wait_for(timeout=90_000)
    assert (number(frame, "invalid"), number(frame, "missing")) == (0, 3)
    assert simulator.stats(all_uids=True)["uids"] == dict.fromkeys(runs.broken, 1)

    simulator.reset()
    frame.get_by_role("checkbox", name=re.compile("Select all items.*no such user")).check()
    redrive(frame, "Redrive selected", "3 items", "3 requests")
    frame.get_by_text("No item of this run is missing, invalid or failed.").wait_for(timeout=90_000)
    assert number(frame, "ok") == 60
    assert stack.wait(DAG, run_id, timeout=60) == "success"
    assert simulator.stats(all_uids=True)["uids"] == dict.fromkeys(runs.unknown, 1)
    counts = runs.counts(run_id)
    assert counts == {"planned": 60, "ok": 60, "missing": 0, "invalid": 0, "failed": 0}

    simulator.reset()
    search = frame.get_by_label("Find by key (user)")
    search.fill(runs.users[67])
    search.press("Enter")
    redrive(frame, "Fetch again", "1 item", "1 request")
    assert stack.wait(DAG, run_id, timeout=90) == "success"
    assert simulator.stats(all_uids=True)["uids"] == {runs.users[67]: 1}
