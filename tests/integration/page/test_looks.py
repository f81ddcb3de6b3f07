"""The run page in Chromium, over runs that the tests write: what each view shows, and failures."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from fanfold import formats
from fanfold.messages import Message
from fanfold.model import Status, utc_text
from fanfold.workspace.errors import TaskError, write_error
from fanfold.workspace.files import write_json

from .finished_run import File

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

LARGE, PARTLY = "file-02.csv", "file-04.csv"
FILES = {
    **{f"file-{number:02}.csv": File(3) for number in range(30)},
    "file-01.csv": File(status=Status.MISSING),
    LARGE: File(250),
    PARTLY: File(90, broken=70, gb_seconds=0.25),
    "file-07.csv": File(2, broken=2),
    "file-08.csv": File(status=Status.FAILED),
}


@pytest.fixture
def open_page(chromium, site):
    """``open_page(run, locale)``: the page of a run in Chromium, logged in."""
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    client = site["user"]
    cookie = {"name": COOKIE_NAME_JWT_TOKEN, "value": client.token, "url": client.url}

    @contextmanager
    def opened(run, locale="en-US", width=1280, zoom=1):
        size = {"width": width, "height": 1000}
        context = chromium.new_context(locale=locale, viewport=size, device_scale_factor=zoom)
        context.add_cookies([cookie])
        page = context.new_page()
        page.goto(address(run))
        page.get_by_role("tab").first.wait_for()
        yield page
        context.close()

    return opened


def address(run):
    return f"{run.client.url}/fanfold/run?dag_id={run.dag_id}&run_id={quote(run.run_id)}"


@pytest.fixture
def compared_run(finished_run):
    finished_run({LARGE: File(2, dearer=3)})
    return finished_run(FILES, batch_size=7)


def tile(page, name):
    """The number on a tile."""
    found = page.locator(".tile").filter(has=page.get_by_text(name, exact=True))
    return int(found.locator("dd").inner_text().split()[0].replace(",", ""))


FORMATTED = """async ([seconds, ranges, sizes, shares]) => {
  const format = await import(document.querySelector("link[href$='/format.js']").href);
  return [
    seconds.map(format.duration),
    ranges.map(([low, high]) => format.durationRange({ low, high })),
    sizes.map(format.bytes),
    shares.map(format.percent),
  ];
}"""


def test_numbers_read_as_in_logs_terminal_and_report(open_page, finished_run):
    seconds = [0, 0.44, 5, 9.97, 59.7, 125, 3605, 90_061]
    ranges = [(0.5, 4), (26, 66), (60, 60), (1000, 4000)]
    sizes, shares = [12, 1000, 999_990, 200_099_000], [0, 1, 0.0004, 0.9996, 0.07]
    run = finished_run({LARGE: File(2)})
    with open_page(run) as page:
        assert page.evaluate(FORMATTED, [seconds, ranges, sizes, shares]) == [
            list(map(formats.duration, seconds)),
            [formats.duration_range(*each) for each in ranges],
            list(map(formats.size, sizes)),
            list(map(formats.percent, shares)),
        ]
    with open_page(run, "zh-CN") as page:
        found = page.evaluate(FORMATTED, [seconds, [], [], []])
        assert found[0] == [formats.duration(each, "zh") for each in seconds]


def test_files_and_a_merged_dataset_are_shown_and_a_run_with_nothing_new(open_page, finished_run):
    key = "s3://orders/date=2026-03-01/web.csv"
    failed = "s3://orders/date=2026-03-02/web.csv"
    files = {key: File(3, etag="9b2c"), failed: File(status=Status.FAILED)}
    run = finished_run(files, merged={"run_rows": 2, "superseded": 1, "pending": 1})
    warnings = [asdict(Message("The table has newer rows."))]
    write_json(run.workspace.load, {"tables": {}, "warnings": warnings})
    batch = run.workspace.batch(0)
    listed = [{}, {"size": 1_234_567, "etag": "77aa", "modified": "2026-03-02T06:00:00.000Z"}]
    batch.attributes_file.write_text("\n".join(map(json.dumps, listed)))
    with open_page(run) as page:
        page.get_by_text("1 item of this or an earlier run is failed or invalid").wait_for()
        page.locator(".alerts").get_by_text("The table has newer rows.").wait_for()
        assert (tile(page, "dataset rows"), tile(page, "rows this run")) == (3, 2)
        page.get_by_label("Find by key").fill("01/web")
        page.get_by_role("option", name=key).click()
        page.get_by_role("heading", name=f"Order file {key}").wait_for()
        for fact in ("1.5 kB", "9b2c", "Mar 1, 2026"):
            page.locator("dd").filter(has_text=fact).wait_for()
        assert page.get_by_role("heading", name="Records").count() == 0
        page.get_by_label("Find by key").fill(failed)
        page.get_by_label("Find by key").press("Enter")
        for fact in ("1.2 MB", "77aa", "Mar 2, 2026"):
            page.locator("dd").filter(has_text=fact).wait_for()
    with open_page(finished_run({}, merged={})) as page:
        page.get_by_text("A published dataset stays as it is.").wait_for()
        tile(page, "rows this run")
        assert page.get_by_text("dataset rows").count() == 0
        page.get_by_role("tab", name="Dataset").click()
        page.get_by_role("tabpanel").get_by_text("Nothing new").wait_for()


def test_tables_rejected_rows_and_an_item_with_many_rows_are_shown(open_page, compared_run):
    with open_page(compared_run) as page:
        page.get_by_role("heading", name="Items (order file)").wait_for()
        assert (tile(page, "rows"), tile(page, "rejected rows")) == (345, 72)
        cost = page.locator("dt:text-is('Function cost') + dd:text-is('0.25 GB-s')")
        assert cost.count() == 1
        page.get_by_role("columnheader", name="Rejected rows").wait_for()

        page.locator(".tile").filter(has_text="rejected rows").get_by_role("link").click()
        rejected = page.get_by_role("region", name="Rejected rows, by column and rule")
        rejected.get_by_role("link", name="Show rows").click()
        lines = rejected.get_by_role("region", name="Rejected rows: price breaks")
        lines.get_by_role("row").nth(50).wait_for()
        rejected.get_by_role("button", name="Next page").click()
        rejected.get_by_text("Rows 51–72 of 72").wait_for()

        page.get_by_role("tab", name="Dataset").click()
        page.get_by_role("heading", name="orders · 345 rows").wait_for()
        page.get_by_role("button", name="price").click()
        page.get_by_role("button", name="price").click()
        shown = page.get_by_role("region", name="Rows").get_by_role("row")
        shown.nth(1).get_by_text("250.50").wait_for()
        page.get_by_label("Filter all rows").first.select_option("price")
        page.get_by_label("Operator").select_option("=")
        page.get_by_label("Value", exact=True).fill("196.5")
        page.get_by_role("button", name="Filter", exact=True).click()
        page.get_by_text("1 matching row").wait_for()
        shown.nth(1).get_by_text("196.50").wait_for()
        page.get_by_role("button", name="Remove filter").click()
        page.get_by_text("Rows 1–100 of 345").wait_for()
        page.get_by_text("7 columns").click()
        page.get_by_role("img", name=re.compile("Most values are in 1.5 – ")).wait_for()
        page.get_by_text("How to read it").click()
        page.get_by_text("pd.read_parquet").wait_for()
        page.get_by_role("button", name="revenue", exact=True).click()
        page.get_by_role("heading", name="revenue · 3 rows").wait_for()
        assert "revenue.csv.gz" in page.get_by_role("region", name="Files").inner_text()

        page.get_by_role("tab", name="Compare").click()
        changed = page.get_by_role("region", name=re.compile("largest difference of price"))
        changed.get_by_text("-66.7%").wait_for()
        page.get_by_text("item ok, without this row").first.wait_for()
        with page.expect_download() as download:
            page.get_by_role("link", name="All differences (CSV)").click()
        assert download.value.suggested_filename == "comparison.csv"

        page.get_by_label("Find by key or name (order file)").fill(PARTLY.upper())
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=re.compile("^Order file", re.IGNORECASE)).wait_for()
        page.get_by_role("heading", name="Rows (20)").wait_for()
        page.get_by_role("heading", name="Rejected rows (70)").wait_for()
        page.get_by_text("The first 20 of 70.").wait_for()
        assert cost.count() == 2  # of the run and of the item


def test_tiles_and_segments_lead_to_what_they_count_and_the_address_says_what_is_open(
    open_page, compared_run
):
    """A copied address opens the same view: the tab, the outcome, and the group whose items are shown."""
    with open_page(compared_run) as page:
        page.locator(".tile").filter(has_text="invalid").get_by_role("link").click()
        items = page.get_by_role("region", name="Items that are not ok, by reason")
        items.get_by_text("invalid").first.wait_for()
        assert page.url.endswith("#failures=invalid")
        assert items.get_by_text("missing").count() == 0
        page.locator(".segment.of-missing").click()
        items.get_by_text("missing").first.wait_for()
        assert items.get_by_text("invalid").count() == 0
        page.go_back()
        items.get_by_role("link", name=re.compile("^Show items: price breaks")).click()
        items.get_by_role("link", name="file-07.csv").nth(1).wait_for()
        copied = page.url
        page.goto("about:blank")
        page.goto(copied)
        items.get_by_role("link", name="file-07.csv").nth(1).wait_for()
        page.goto(f"{copied.split('#')[0]}#batches=3")
        page.get_by_role("tabpanel").locator("tr.chosen").filter(has_text="3").wait_for()


def test_every_view_is_chinese_and_no_wider_than_a_zoomed_phone(open_page, compared_run):
    """Zooming is a window of fewer, larger pixels."""
    with open_page(compared_run, "zh-CN", 320, zoom=2) as page:
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        page.get_by_role("heading", name="条目（订单文件）").wait_for()
        for name in ("批次", "失败项", "数据集", "报告", "对比"):
            page.get_by_role("tab", name=name).click()
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, name
            shown = page.locator("main").inner_text()
            # The label of a batch is Airflow's: "items 1–7".
            assert not re.search(r"\b(rows|Rejected|Table|Rule|Column|items?(?! \d))\b", shown), (
                name
            )
        page.get_by_role("tab", name="失败项").click()
        page.get_by_text("商店 404：没有这个文件").first.wait_for()
        page.goto(f"{page.url.split('#')[0]}#item={LARGE}")
        page.get_by_role("heading", name="行（250）").wait_for()
        page.get_by_text("共 250 个，显示前 20 个。").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_failed_and_an_empty_run_show_their_outcome(open_page, finished_run):
    after = {"publish": "upstream_failed", "load": "upstream_failed", "report": "upstream_failed"}
    states = {"consolidate": "failed", **after}
    failed = finished_run(FILES, batch_size=7, passed=False, state="failed", states=states)
    why = Message("2 of 30 items failed")
    error = TaskError("consolidate", -1, 1, utc_text(datetime.now(UTC)), why, "shop_default")
    write_error(failed.workspace, error)
    with open_page(failed) as page:
        alert = page.get_by_role("alert").first
        alert.get_by_text("The run failed in “consolidate”.").wait_for()
        alert.get_by_text("2 of 30 items failed").wait_for()
        links = alert.get_by_role("link").all_inner_texts()
        assert links == ["Open the log of “consolidate”", "Open connection “shop_default”"]
        alert.get_by_role("button", name="Redrive all failed").wait_for()
        alert.get_by_role("button", name="Publish anyway").click()
        page.get_by_role("dialog").get_by_text("6.7% failed or was rejected").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Dataset").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download: orders.parquet").click()
        orders = failed.workspace.table("orders")
        assert download.value.path().read_bytes() == orders.read_bytes()
        page.get_by_role("tab", name="Report").click()
        page.get_by_role("tabpanel").get_by_text("report").first.wait_for()
        page.get_by_role("tab", name="Compare").click()
        page.get_by_text("There is no other run with a dataset").wait_for()
        page.goto(address(finished_run({})))
        page.get_by_text("Empty", exact=True).wait_for()
        page.get_by_text("This run has no batches.").wait_for()
        assert tile(page, "planned") == 0


def test_what_does_not_respond_is_reported_and_the_rest_stays(
    open_page, finished_run, monkeypatch, tmp_path
):
    """The scheduler, which does not run here, the API server, and the shared directory."""
    run = finished_run({LARGE: File(5)})
    run.set_states("running", {("consolidate",): None})
    with open_page(run) as page:
        page.get_by_text("The Airflow scheduler is not running").wait_for()
        silence = page.get_by_text("The Airflow API server does not respond; retrying.")
        page.context.set_offline(True)
        silence.wait_for()
        assert tile(page, "ok") == 1
        page.context.set_offline(False)
        silence.wait_for(state="detached")
        away = page.get_by_text("The shared directory cannot be read").first
        with monkeypatch.context() as patch:
            patch.setenv("FANFOLD_SHARED_DIR", str(tmp_path / "away"))
            away.wait_for()
            assert tile(page, "ok") == 1
        away.wait_for(state="detached")
