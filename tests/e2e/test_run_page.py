"""The run page in Chromium, through Airflow's UI."""

from __future__ import annotations

import re

import pytest

from fanfold.local.stack import FINISHED
from fanfold.simulator.people import Age, profile

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"
MONTH = 30


def test_the_page_works_inside_airflow(runs, partial_run, visitor, page, number):
    """From the navigation to a run: its report, a download, Airflow's dark mode, a task's log."""
    visitor.log_in("/plugin/fanfold")
    frame = visitor.frame("Fanfold")
    frame.get_by_role("heading", name="Weibo user profiles").wait_for()
    frame.get_by_role("heading", name="Mastodon user profiles").wait_for()
    shown = frame.get_by_role("region", name="Weibo user profiles")
    shown.get_by_role("button", name="Table of").click()
    row = shown.get_by_role("row").filter(has_text=partial_run)
    assert "Partial" in row.inner_text()
    assert "145 items planned: 137 ok, 3 missing, 5 invalid" in row.inner_text()
    href = row.get_by_role("link").get_attribute("href")
    bar = shown.locator(f".runbars a[href='{href}']")
    assert bar.get_attribute("aria-label").startswith("Partial, ")
    assert bar.locator(".segment").count() == 3
    bar.click()
    page.wait_for_url(f"**/dags/{DAG}/runs/{partial_run}/plugin/fanfold-items")
    frame = visitor.frame()
    frame.get_by_text("Partial", exact=True).wait_for()
    assert number(frame, "invalid") == 5

    page.set_viewport_size({"width": 1280, "height": 760})
    assert frame.get_by_role("tablist").evaluate("tabs => tabs.getBoundingClientRect().top") < 400
    frame.get_by_role("tab", name="Report").click()
    page.wait_for_url("**/plugin/fanfold-items#report")
    page.reload()
    # Nothing of the report is cut off, and it does not scroll by itself.
    report = frame.frame_locator("iframe")
    report.get_by_role("heading").last.scroll_into_view_if_needed()
    heights = report.locator("html").evaluate("html => [html.scrollHeight, innerHeight]")
    assert heights[0] == heights[1] > 1000
    report.get_by_text("Planned", exact=True).wait_for()
    # Drawn by scripts, which the frames and the policy of the page allow.
    drawn = report.locator(".chart svg").filter(visible=True)
    drawn.nth(6).wait_for()
    assert drawn.count() == 7

    def ground():
        script = "element => getComputedStyle(element).backgroundColor"
        return [frame.locator(name).evaluate(script) for name in ("html", "body")]

    light = ground()
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    frame.locator("html[data-theme=dark]").wait_for()
    assert ground() != light
    scheme = frame.locator("iframe").evaluate("frame => getComputedStyle(frame).colorScheme")
    assert scheme == "dark"

    frame.get_by_role("tab", name="Dataset").click()
    with page.expect_download() as download:
        frame.get_by_role("link", name="Download: user_profiles.parquet").click()
    path = runs.workspace(partial_run).table("user_profiles")
    assert download.value.path().read_bytes() == path.read_bytes()
    assert download.value.suggested_filename == path.name

    frame.get_by_role("tab", name="Batches").click()
    frame.get_by_role("row").filter(has_text="items 101").get_by_role("link").first.click()
    page.wait_for_url(re.compile(rf"/dags/{DAG}/runs/{partial_run}/tasks/batch\.\w+/mapped/2$"))
    page.get_by_text(re.compile("45 rows, 0 rejected")).first.wait_for()


def test_a_user_is_found_by_key_with_record_and_row_side_by_side(runs, partial_run, visitor, page):
    """With the keyboard alone: type, arrow, Enter, and back."""
    visitor.alone(partial_run)
    broken, good = runs.broken[0], runs.users[50]
    search = page.get_by_label("Find by key or name (user)")
    search.focus()
    page.keyboard.type(broken[:-1])
    page.get_by_role("option").first.wait_for()
    assert page.get_by_role("option").count() == 10
    chosen = page.get_by_role("option", selected=True)
    for _ in range(10):
        page.keyboard.press("ArrowDown")
        if chosen.locator("bdi").first.inner_text() == broken:
            break
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=f"User {broken}").wait_for()
    item = page.locator("section.item")
    item.get_by_text("invalid", exact=True).first.wait_for()
    assert "no rows of this item" in item.inner_text()
    assert f'"id": {broken}' in page.get_by_role("region", name="Records (1)").inner_text()

    search.fill(good)
    search.press("Enter")
    page.get_by_role("heading", name=f"User {good}").wait_for()
    row = page.get_by_role("region", name="Rows (1)")
    assert good in row.inner_text()
    left, right = row.bounding_box(), page.get_by_role("region", name="Records (1)").bounding_box()
    assert right["x"] > left["x"] + left["width"] - 1
    search.fill("nobody")
    search.press("Enter")
    page.get_by_text("This key is not in the plan of this run").wait_for()
    page.get_by_role("link", name=re.compile("Back to")).click()
    page.get_by_role("tab", name="Batches").wait_for()


def test_the_run_is_compared_with_the_one_before(runs, partial_run, visitor, page, number):
    visitor.alone(partial_run)
    page.get_by_role("tab", name="Compare").click()
    page.get_by_text("All differences (CSV)").wait_for()
    assert number(page, "in both runs") == 117
    assert (number(page, "new"), number(page, "gone")) == (20, 23)
    gone = page.locator(".tile").filter(has=page.get_by_text("gone", exact=True)).inner_text()
    assert " ".join(gone.split()) == "gone 23 15 not in the list now 3 missing 5 invalid"
    away = {*runs.broken, *runs.unknown}
    both = {
        uid: profile(uid, Age(MONTH))["followers_count"] - profile(uid)["followers_count"]
        for uid in runs.users[15:140]
        if uid not in away
    }
    assert number(page, "changed") >= sum(change != 0 for change in both.values()) > 40
    region = page.get_by_role("region", name=re.compile("largest difference of followers_count"))
    most = region.get_by_role("row").nth(1).inner_text()
    uid = max(both, key=lambda uid: abs(both[uid]))
    assert uid in most
    assert f"{both[uid]:+,}" in most


def test_a_viewer_sees_everything_and_may_not_redrive(
    runs, partial_run, visitor, page, number, unfolded
):
    visitor.alone(partial_run, "viewer")
    unfolded(page, runs.broken[0])
    assert number(page, "invalid") == 5
    assert page.get_by_role("button", name=re.compile("Redrive")).count() == 0
    assert page.get_by_role("checkbox").count() == 0


def test_a_spent_quota_defers_the_tasks_and_shows_the_reset(
    stack, simulator, runs, visitor, page, number
):
    """Windows of twelve seconds, and tasks that keep their slot for three: both batches defer."""
    simulator.control(quota_per_hour=4, quota_window_s=12)
    conf = {"user_ids": list(runs.users[:8]), "batch_size": 4, "concurrency": 2}
    run_id = stack.trigger(DAG, conf)
    visitor.alone(run_id)
    page.get_by_text(re.compile(r"^Waiting for quota until \d")).wait_for(timeout=60_000)
    page.get_by_text(re.compile("waiting for the source’s quota")).wait_for()
    labels = set()
    while stack.run_state(DAG, run_id) not in FINISHED:
        labels |= {
            instance["rendered_map_index"]
            for instance in runs.instances(run_id, "batch.fetch")
            if instance["state"] == "deferred"
        }
        page.wait_for_timeout(300)
    assert stack.run_state(DAG, run_id) == "success"
    assert labels
    assert all(
        re.fullmatch(r"items \d–\d · waits until \d\d:\d\d:\d\d UTC", label) for label in labels
    )
    ended = {each["rendered_map_index"] for each in runs.instances(run_id, "batch.fetch")}
    assert ended == {"items 1–4", "items 5–8"}
    logs = [runs.log_of(run_id, "batch.fetch", number) for number in (0, 1)]
    assert any(re.search(r"resuming at 20\d\d-\d\d-\d\dT", log) for log in logs)
    page.get_by_text("Complete", exact=True).wait_for()
    assert number(page, "ok") == runs.counts(run_id)["ok"] == 8
