"""The run page: keyboard, accessibility (axe), and hostile names."""

from __future__ import annotations

import json
import re

import pytest

from fanfold.simulator.people import Age, profile

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"
DARK = {"Batches", "dialog", "item"}
"""Views that have all colours of the dark theme."""


def test_the_grid_of_batches_and_the_tabs_work_with_the_keyboard(partial_run, visitor, page):
    """Tab reaches the grid once; arrows move in it; Enter opens the log; the focus is seen."""
    visitor.alone(partial_run)
    page.get_by_role("tab", name="Batches").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("tab", name="Failures", selected=True).wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("tab", name="Batches", selected=True).wait_for()
    page.get_by_role("button", name="By state").click()
    cells = page.get_by_role("list", name="Batches").get_by_role("link")
    cells.first.wait_for()
    for _ in range(100):
        page.keyboard.press("Tab")
        if cells.first.evaluate("cell => cell === document.activeElement"):
            break
    assert cells.first.evaluate("cell => cell === document.activeElement"), page.evaluate(
        "document.activeElement.outerHTML"
    )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert cells.nth(2).evaluate("cell => cell === document.activeElement")
    assert cells.nth(2).evaluate("cell => getComputedStyle(cell).outlineStyle") != "none"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/tasks/batch\.\w+/mapped/2$"), wait_until="commit")


def test_the_page_is_accessible(stack, runs, partial_run, visitor, page, unfolded):
    """axe finds no violation in any view, and no contrast that is too low in the dark ones."""
    visitor.alone(partial_run)
    ready = {
        "Batches": page.get_by_role("region", name="Batches"),
        "Failures": page.get_by_role("region", name="Items that are not ok, by reason"),
        "Dataset": page.get_by_role("region", name="Files"),
        "Report": page.locator("iframe"),
        "Compare": page.get_by_text("in both runs"),
    }
    for name, there in ready.items():
        page.get_by_role("tab", name=name).click()
        there.wait_for()
        has_no_violation(page, name)
    unfolded(page, runs.broken[0])
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

    results = Axe().run(page, options={"resultTypes": ["violations"]})
    assert results.violations_count == 0, f"{name}: {results.generate_report()}"
    assert results.response["passes"]
    if name in DARK:
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        page.locator("html[data-theme=dark]").wait_for()
        results = Axe().run(page, options={"runOnly": ["color-contrast"]})
        assert results.violations_count == 0, f"dark {name}: {results.generate_report()}"
        page.emulate_media(color_scheme="light", reduced_motion="reduce")


def test_hostile_names_are_text(runs, partial_run, visitor, page):
    """The simulator has names with scripts, right-to-left text, and very long ones."""
    visitor.alone(partial_run)
    people = {uid: profile(uid, Age(30)) for uid in runs.users[15:160] if uid not in runs.broken}
    evil = next(uid for uid, person in people.items() if "<script" in json.dumps(person).lower())
    long = max(people, key=lambda uid: len(people[uid]["description"]))
    for uid in (evil, long):
        page.goto(f"{page.url.split('#')[0]}#item={uid}")
        region = page.get_by_role("region", name="Rows (1)")
        region.get_by_text(uid, exact=True).first.wait_for()
        cells = [" ".join(text.split()) for text in region.locator("td").all_inner_texts()]
        for column in ("screen_name", "description"):
            assert " ".join(people[uid][column].split()) in cells
    assert page.locator("main script, main img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
