"""The run page: languages, themes, narrow windows, accessibility (axe), and hostile names."""

from __future__ import annotations

import json
import re

import pytest

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"
TABS = ("Batches", "Failures", "Dataset", "Report", "Compare")


def test_the_page_is_chinese_in_a_chinese_browser(stack, partial_run, visitor, open_browser):
    with open_browser(locale="zh-CN", viewport={"width": 1280, "height": 900}) as page:
        person = visitor(page)
        frame = person.items_tab(partial_run)
        frame.get_by_role("tab").first.wait_for()
        shown = frame.locator("body").inner_text()
        assert "数据集" in shown
        assert not re.search(r"\b(planned|missing|invalid|waiting|Dataset|Batches)\b", shown)
        assert frame.locator("html").get_attribute("lang") == "zh-CN"
        frame.get_by_role("tab", name="失败项").click()
        frame.get_by_text("微博 20003：没有这个用户").wait_for()
        frame.get_by_text("不符合规则").first.wait_for()
        assert page.goto(f"{stack.url}/plugin/fanfold").ok
        person.frame("Fanfold").get_by_role("heading", level=2).first.wait_for()


def test_the_page_is_dark_when_airflow_is(partial_run, visitor, page):
    """It follows the switch at once, and its report with it."""
    frame = visitor(page).items_tab(partial_run)
    frame.get_by_role("tab", name="Report").click()
    report = frame.frame_locator("iframe")
    report.get_by_text("Planned", exact=True).wait_for()

    def ground(of):
        script = "element => getComputedStyle(element).backgroundColor"
        return [of.locator(name).evaluate(script) for name in ("html", "body")]

    light = ground(frame)
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    frame.locator("html[data-theme=dark]").wait_for()
    assert ground(frame) != light
    scheme = frame.locator("iframe").evaluate("frame => getComputedStyle(frame).colorScheme")
    assert scheme == "dark"


def test_a_failed_and_an_empty_run_show_their_outcome(
    stack, simulator, runs, visitor, page, number
):
    simulator.control(uids=dict.fromkeys(runs.broken, "invalid"))
    conf = {"user_ids": list(runs.users[20:40]), "batch_size": 20}
    failed = stack.trigger(DAG, {**conf, "tolerated_failure_percentage": 0})
    empty = stack.trigger(DAG, {"user_ids": []})
    assert stack.wait(DAG, failed, timeout=120) == "failed"
    assert stack.wait(DAG, empty, timeout=120) == "success"

    visitor(page).alone(failed)
    alert = page.get_by_role("alert").first
    alert.get_by_text("more items failed than it tolerates").wait_for()
    assert alert.get_by_role("link").inner_text() == "Open the log of “consolidate”"
    assert (number(page, "ok"), number(page, "invalid")) == (15, 5)
    page.get_by_role("tab", name="Dataset").click()
    page.get_by_role("heading", name="15 rows").wait_for()
    page.get_by_text("Not published to object storage").wait_for()
    page.get_by_role("tab", name="Report").click()
    page.get_by_role("tabpanel").get_by_text("report").first.wait_for()
    page.get_by_role("tab", name="Compare").click()
    page.get_by_text("This run was not compared with the previous run").wait_for()

    page.goto(f"{stack.url}/fanfold/run?dag_id={DAG}&run_id={empty}")
    page.get_by_text("Empty", exact=True).wait_for()
    page.get_by_text("This run has no batches.").wait_for()
    assert number(page, "planned") == 0


def test_the_grid_of_batches_and_the_tabs_work_with_the_keyboard(partial_run, visitor, page):
    """Tab reaches the grid once; arrows move in it; Enter opens the log; the focus is seen."""
    visitor(page).alone(partial_run)
    page.get_by_role("tab", name="Batches").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("tab", name="Failures", selected=True).wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("tab", name="Batches", selected=True).wait_for()
    cells = page.get_by_role("list", name="Batches").get_by_role("link")
    cells.first.wait_for()
    while not cells.first.evaluate("cell => cell === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert cells.nth(2).evaluate("cell => cell === document.activeElement")
    assert cells.nth(2).evaluate("cell => getComputedStyle(cell).outlineStyle") != "none"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/tasks/batch\.\w+/mapped/2$"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible(stack, runs, partial_run, visitor, page, unfolded, theme):
    """axe finds no violation in any view, in either theme."""
    visitor(page).alone(partial_run, theme=theme)
    ready = {
        "Batches": page.get_by_role("list", name="Batches"),
        "Failures": page.get_by_role("region", name="Items that are not ok, by reason"),
        "Dataset": page.get_by_role("region", name="Files"),
        "Report": page.locator("iframe"),
        "Compare": page.get_by_text("Previous run:"),
    }
    for name, there in ready.items():
        page.get_by_role("tab", name=name).click()
        there.wait_for()
        has_no_violation(page, name)
    unfolded(page)
    page.get_by_role("checkbox", name=f"Select {runs.broken[0]}").wait_for()
    page.get_by_role("button", name="Redrive all failed").first.click()
    page.get_by_role("dialog").get_by_text("5 items").wait_for()
    has_no_violation(page, "dialog")
    page.keyboard.press("Escape")
    page.goto(f"{page.url.split('#')[0]}#item={runs.broken[0]}")
    page.get_by_role("region", name="Records (1)").wait_for()
    has_no_violation(page, "item")
    page.goto(f"{stack.url}/fanfold/pipelines")
    page.get_by_role("heading", level=2).first.wait_for()
    has_no_violation(page, "pipelines")


def has_no_violation(page, name):
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(page)
    assert results.violations_count == 0, f"{name}: {results.generate_report()}"
    assert results.response["passes"]


@pytest.mark.parametrize(
    ("width", "zoom"), [(360, 1), (640, 2)], ids=["a phone", "a window at 200 %"]
)
def test_nothing_is_wider_than_the_window(partial_run, visitor, open_browser, width, zoom):
    """Wide tables scroll in a region of their own; zooming is a window of fewer, larger pixels."""
    size = {"width": width // zoom, "height": 720}
    with open_browser(locale="en-US", viewport=size, device_scale_factor=zoom) as page:
        visitor(page).alone(partial_run)
        for name in TABS:
            page.get_by_role("tab", name=name).click()
            page.get_by_role("tabpanel").wait_for()
            page.wait_for_load_state("networkidle")
            found = page.evaluate("document.documentElement.scrollWidth")
            assert found <= width // zoom, name


def test_hostile_names_are_text(stack, runs, visitor, page):
    """The simulator has names with scripts, right-to-left text, and very long ones."""
    run_id = stack.trigger(DAG, {"user_ids": list(runs.users[:400]), "batch_size": 400})
    assert stack.wait(DAG, run_id, timeout=120) == "success"
    found = stack.api("GET", f"/fanfold/api/dags/{DAG}/runs/{run_id}/dataset?limit=500")
    names = [column["name"] for column in found["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in found["page"]]
    evil = next(row for row in rows if "<script" in json.dumps(row).lower())
    long = max(rows, key=lambda row: len(row["description"] or ""))
    visitor(page).alone(run_id)
    for row in (evil, long):
        page.goto(f"{page.url.split('#')[0]}#item={row['user_id']}")
        region = page.get_by_role("region", name="Rows (1)")
        region.get_by_text(row["user_id"], exact=True).first.wait_for()
        cells = [" ".join(text.split()) for text in region.locator("td").all_inner_texts()]
        for column in ("screen_name", "description"):
            assert " ".join(str(row[column]).split()) in cells
    assert page.locator("main script, main img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
