"""The run page in Chromium: tables of a run, rejected rows, and an item with many rows."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from fanfold.model import Status

from .finished_run import File

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync")
LARGE, PARTLY = "file-02.csv", "file-04.csv"
FILES = {
    **{f"file-{number:02}.csv": File(3) for number in range(30)},
    "file-01.csv": File(status=Status.MISSING),
    LARGE: File(250),
    PARTLY: File(90, broken=70),
    "file-07.csv": File(2, broken=2),
    "file-08.csv": File(status=Status.FAILED),
}


@pytest.fixture
def open_page(finished_run, site, missing_tool):
    """``open_page(locale)``: the page of a compared run in Chromium, logged in."""
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        missing_tool("Chromium is not installed: apt-get install chromium")
    earlier = finished_run({LARGE: File(2)})
    run = finished_run(FILES, batch_size=7, previous=earlier.workspace)
    client = site["user"]
    cookie = {"name": COOKIE_NAME_JWT_TOKEN, "value": client.token, "url": client.url}

    @contextmanager
    def opened(locale, width=1280):
        context = browser.new_context(locale=locale, viewport={"width": width, "height": 1000})
        context.add_cookies([cookie])
        page = context.new_page()
        page.goto(f"{client.url}/fanfold/run?dag_id={run.dag_id}&run_id={quote(run.run_id)}")
        page.get_by_role("tab").first.wait_for()
        yield page
        context.close()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield opened
        browser.close()


def tile(page, name):
    """The number on a tile."""
    found = page.locator(".tile").filter(has=page.get_by_text(name, exact=True))
    return int(found.locator("dd").inner_text().split()[0].replace(",", ""))


def test_tables_rejected_rows_and_an_item_with_many_rows_are_shown(open_page):
    with open_page("en-US") as page:
        page.get_by_role("heading", name="Items (order file)").wait_for()
        assert (tile(page, "rows"), tile(page, "rejected rows")) == (345, 72)
        page.get_by_role("button", name="As a table").click()
        page.get_by_role("columnheader", name="Rejected rows").wait_for()

        page.get_by_role("tab", name="Failures").click()
        rejected = page.get_by_role("region", name="Rejected rows, by column and rule")
        rejected.get_by_role("button", name="Show rows").click()
        lines = rejected.get_by_role("region", name="Rejected rows: price breaks")
        lines.get_by_role("row").nth(50).wait_for()
        rejected.get_by_role("button", name="Next page").click()
        rejected.get_by_text("Rows 51–72 of 72").wait_for()

        page.get_by_role("tab", name="Dataset").click()
        page.get_by_role("heading", name="orders · 345 rows").wait_for()
        page.get_by_role("button", name="price").click()
        page.get_by_role("button", name="price").click()
        shown = page.get_by_role("region", name="Rows").get_by_role("row")
        assert "97.50" in shown.nth(1).inner_text()
        page.get_by_role("button", name="revenue", exact=True).click()
        page.get_by_role("heading", name="revenue · 3 rows").wait_for()
        assert "revenue.csv.gz" in page.get_by_role("region", name="Files").inner_text()

        page.get_by_role("tab", name="Compare").click()
        page.get_by_text("Columns with another type, not compared: line").wait_for()
        page.get_by_role("region", name=re.compile("largest difference of price")).wait_for()

        page.get_by_label("Find by key (order file)").fill(PARTLY.upper())
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=re.compile("^Order file", re.IGNORECASE)).wait_for()
        page.get_by_role("heading", name="Rows (20)").wait_for()
        page.get_by_role("heading", name="Rejected rows (70)").wait_for()
        page.get_by_text("The first 20 of 70.").wait_for()


def test_every_view_is_chinese_and_no_wider_than_a_phone(open_page):
    with open_page("zh-CN", 360) as page:
        page.get_by_role("heading", name="条目（订单文件）").wait_for()
        for name in ("批次", "失败项", "数据集", "对比"):
            page.get_by_role("tab", name=name).click()
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
            shown = page.locator("main").inner_text()
            assert not re.search(r"\b(rows|Rejected|Table|Rule|Column|items?)\b", shown), name
        page.goto(f"{page.url.split('#')[0]}#item={LARGE}")
        page.get_by_role("heading", name="行（250）").wait_for()
        page.get_by_text("共 250 个，显示前 20 个。").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
