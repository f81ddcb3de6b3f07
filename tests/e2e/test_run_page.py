"""The run page in Chromium, through Airflow's UI."""

from __future__ import annotations

import re

import pytest

from fanfold.simulator.people import profile

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"
MONTH = 30


def test_a_run_is_triggered_with_the_form_and_followed_to_its_end(
    stack, simulator, runs, visitor, page, number
):
    """Each section of the form opens; the page shows the progress without a reload."""
    simulator.control(latency_ms=2000)
    stack.wait_for_dag(DAG)
    person = visitor(page)
    person.log_in(f"/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    for section, name in [
        ("Failure handling", "tolerated_failure_percentage"),
        ("Rate and concurrency", "concurrency"),
        ("Items to fetch", "items_uri"),
    ]:
        page.get_by_role("button", name=section).click()
        page.locator(f"input[name=element_{name}]").wait_for()
    page.locator("input[name=element_items_uri]").fill(runs.listed(runs.users[:200]))
    page.get_by_role("button", name="Trigger").last.click()
    page.wait_for_url(re.compile(r"/runs/manual__"))
    run_id = page.url.split("/runs/")[1].split("?")[0].split("/")[0].replace("%2B", "+")
    page.get_by_title("Items", exact=True).click()
    frame = person.frame()
    frame.get_by_role("heading", name=re.compile("^Items")).wait_for()
    frame.locator(":root").evaluate("root => { root.ownerDocument.defaultView.same = 1 }")
    frame.get_by_text("planned", exact=True).wait_for(timeout=60_000)
    # The tab has had the answer that there is no plan; it asks again at once, not at its interval.
    frame.get_by_role("list", name="Batches").wait_for(timeout=5_000)
    seen = []
    while not seen or seen[-1] < 200:
        seen.append(number(frame, "ok"))
        page.wait_for_timeout(200)
    assert len({count for count in seen if 0 < count < 200}) >= 2, seen
    assert seen == sorted(seen)
    frame.get_by_text("Complete", exact=True).wait_for(timeout=60_000)
    assert frame.locator(":root").evaluate("root => root.ownerDocument.defaultView.same") == 1
    assert number(frame, "waiting") == 0
    assert stack.wait(DAG, run_id, timeout=60) == "success"
    assert runs.counts(run_id)["ok"] == 200

    page.goto(f"{stack.url}/dags/{DAG}")
    page.get_by_label(re.compile("^Show Graph")).first.click()
    shown = page.locator(".react-flow__node")
    for task in ("preflight", "read_items", "plan", "consolidate", "publish", "load", "report"):
        shown.filter(has_text=task).first.wait_for()


def test_a_wrong_value_is_refused_by_the_form_with_its_name(stack, visitor, page):
    stack.wait_for_dag(DAG)
    before = stack.api("GET", f"/api/v2/dags/{DAG}/dagRuns")["total_entries"]
    visitor(page).log_in(f"/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("button", name="Items to fetch").click()
    page.locator("input[name=element_items_uri]").fill("/etc/passwd")
    page.get_by_role("button", name="Trigger").last.click()
    page.get_by_text("Invalid input for param items_uri").first.wait_for()
    assert stack.api("GET", f"/api/v2/dags/{DAG}/dagRuns")["total_entries"] == before


def test_a_user_is_found_by_key_with_record_and_row_side_by_side(runs, partial_run, visitor, page):
    """With the keyboard alone: type, arrow, Enter, and back."""
    frame = visitor(page).items_tab(partial_run)
    broken, good = runs.broken[0], runs.users[50]
    search = frame.get_by_label("Find by key (user)")
    search.focus()
    page.keyboard.type(broken[:-1])
    frame.get_by_role("option").first.wait_for()
    assert frame.get_by_role("option").count() == 10
    while frame.get_by_role("option", selected=True).all_inner_texts() != [broken]:
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    frame.get_by_role("heading", name=f"User {broken}").wait_for()
    item = frame.locator("section.item")
    item.get_by_text("invalid", exact=True).first.wait_for()
    assert "This item has no rows" in item.inner_text()
    assert f'"id": {broken}' in frame.get_by_role("region", name="Records (1)").inner_text()

    search.fill(good)
    search.press("Enter")
    frame.get_by_role("heading", name=f"User {good}").wait_for()
    row = frame.get_by_role("region", name="Rows (1)")
    assert good in row.inner_text()
    left, right = row.bounding_box(), frame.get_by_role("region", name="Records (1)").bounding_box()
    assert right["x"] > left["x"] + left["width"] - 1
    search.fill("nobody")
    search.press("Enter")
    frame.get_by_text("This key is not in the plan of this run").wait_for()
    frame.get_by_role("link", name=re.compile("Back to")).click()
    frame.get_by_role("tab", name="Batches").wait_for()


def test_a_batch_leads_to_the_log_of_its_task_in_airflow(partial_run, visitor, page):
    frame = visitor(page).items_tab(partial_run)
    cells = frame.get_by_role("list", name="Batches").get_by_role("link")
    cells.first.wait_for()
    assert cells.count() == 3
    cells.nth(2).click()
    page.wait_for_url(re.compile(rf"/dags/{DAG}/runs/{partial_run}/tasks/batch\.\w+/mapped/2$"))
    page.get_by_text(re.compile("45 rows, 0 rejected")).first.wait_for()


def test_the_dataset_is_sorted_filtered_and_downloaded(runs, partial_run, visitor, page):
    frame = visitor(page).items_tab(partial_run)
    frame.get_by_role("tab", name="Dataset").click()
    frame.get_by_role("heading", name="137 rows").wait_for()
    rows = frame.get_by_role("region", name="Rows").get_by_role("row")
    away = {*runs.broken, *runs.unknown}
    shown = [uid for uid in runs.users[15:160] if uid not in away][:100]
    assert shown[0] in rows.nth(1).inner_text()
    frame.get_by_role("button", name="user_id").click()
    frame.get_by_role("button", name="user_id").click()
    assert max(shown) in rows.nth(1).inner_text()
    frame.get_by_label("Filter these rows").fill(shown[7])
    frame.get_by_text("1 matching row").wait_for()
    assert shown[7] in rows.nth(1).inner_text()
    with page.expect_download() as download:
        frame.get_by_role("link", name="Download: user_profiles.parquet").click()
    path = runs.workspace(partial_run).table("user_profiles")
    assert download.value.path().read_bytes() == path.read_bytes()
    assert download.value.suggested_filename == path.name


def test_the_report_is_shown_and_the_run_compared_with_the_one_before(
    runs, partial_run, visitor, page, number
):
    frame = visitor(page).items_tab(partial_run)
    frame.get_by_role("tab", name="Report").click()
    report = frame.frame_locator("iframe")
    report.get_by_text("Planned", exact=True).wait_for()
    # Drawn by scripts, which the frame and the policy of the page allow.
    drawn = report.locator(".chart svg").filter(visible=True)
    drawn.nth(6).wait_for()
    assert drawn.count() == 7
    frame.get_by_role("tab", name="Compare").click()
    frame.get_by_text("Previous run:").wait_for()
    # 15 are not on the list any more, 5 are broken and 3 unknown.
    assert number(frame, "in both runs") == 117
    assert (number(frame, "new"), number(frame, "removed")) == (20, 23)
    away = {*runs.broken, *runs.unknown}
    both = {
        uid: profile(uid, MONTH)["followers_count"] - profile(uid, 0)["followers_count"]
        for uid in runs.users[15:140]
        if uid not in away
    }
    assert number(frame, "changed") >= sum(change != 0 for change in both.values()) > 40
    region = frame.get_by_role("region", name=re.compile("largest difference of followers_count"))
    most = region.get_by_role("row").nth(1).inner_text()
    uid = max(both, key=lambda uid: abs(both[uid]))
    assert uid in most
    assert f"{both[uid]:+,}" in most


def test_a_viewer_sees_everything_and_may_not_redrive(partial_run, visitor, page, number, unfolded):
    frame = visitor(page).items_tab(partial_run, person="viewer")
    unfolded(frame)
    assert number(frame, "invalid") == 5
    assert frame.get_by_role("button", name=re.compile("Redrive")).count() == 0
    assert frame.get_by_role("checkbox").count() == 0


def test_a_run_that_waits_for_its_quota_shows_the_reset(
    stack, simulator, runs, visitor, page, number
):
    simulator.control(quota_per_hour=30, quota_window_s=15)
    run_id = stack.trigger(DAG, {"user_ids": list(runs.users[:40]), "batch_size": 40})
    frame = visitor(page).items_tab(run_id)
    frame.get_by_text(re.compile(r"^Waiting for quota until \d")).wait_for(timeout=60_000)
    assert number(frame, "ok") == 30
    frame.get_by_text("1 batch is waiting for the source’s quota").wait_for()
    frame.get_by_text("Complete", exact=True).wait_for(timeout=90_000)
    assert number(frame, "ok") == 40


def test_the_navigation_leads_to_all_pipelines_and_on_to_a_run(partial_run, visitor, page, number):
    person = visitor(page)
    person.log_in("/dags")
    page.get_by_role("link", name="Fanfold").first.click()
    frame = person.frame("Fanfold")
    frame.get_by_role("heading", name="Weibo user profiles").wait_for()
    frame.get_by_role("heading", name="Mastodon user profiles").wait_for()
    frame.locator(".uplot canvas").first.wait_for()
    row = frame.get_by_role("row").filter(has_text=partial_run)
    assert "Partial" in row.inner_text()
    assert "137" in row.inner_text()
    row.get_by_role("link").first.click()
    page.wait_for_url(f"**/dags/{DAG}/runs/{partial_run}/plugin/fanfold-items")
    person.frame().get_by_text("Partial", exact=True).wait_for()
    assert number(person.frame(), "invalid") == 5
