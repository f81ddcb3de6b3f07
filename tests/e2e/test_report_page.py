"""The report in Chromium: charts, languages, colours, legend, download, table, hostile data."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.model import (
    Counts,
    FileEntry,
    Manifest,
    Outcome,
    RunStatus,
    Status,
)
from fanfold.pipeline import Chart, Fold, Pipeline
from fanfold.stages.reporting import write_report
from fanfold.workspace.failure_groups import FailureGroups, write_groups
from fanfold.workspace.paths import Workspace

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DATE = "2026-09-01T00:00:00.000Z"
HOSTILE = [
    "</script><script>document.title='run'</script>",
    "<img src=x onerror=document.title='run'>",
    "=HYPERLINK('x')",
    "\u202eمرحبا بالعالم",
    "长" * 10_000,
    "datum.x + alert(1)",
    "a\0b\u200bc",
]
LABELS = {"light": "#52606d", "dark": "#a9b4c0"}
"""Colour of an axis label by colour scheme."""
X_QUANTITY = {"field": "revenue", "type": "quantitative", "title": ("Revenue", "销售额")}
DAY = {"field": "day", "type": "temporal", "title": None}
CATEGORY = {"field": "category", "title": ("Category", "类别")}
CHARTS = [
    Chart(
        ("Revenue by day", "每日销售额"),
        sql="SELECT day, category, sum(revenue) AS revenue FROM orders GROUP BY ALL ORDER BY ALL",
        spec={"mark": "line", "encoding": {"x": DAY, "y": X_QUANTITY, "color": CATEGORY}},
        finding=(
            "{total:short} in {days} days, {share:percent} of it from {best}",
            "{days} 天共 {total:short}，其中 {best} 占 {share:percent}",
        ),
        values="""SELECT sum(total) AS total, max(days) AS days, max(total) / sum(total) AS share,
                         arg_max(category, total) AS best
                  FROM (SELECT category, sum(revenue) AS total, count(DISTINCT day) AS days
                        FROM dataset GROUP BY category)""",
    ),
    Chart(
        ("Revenue by category", "各类别销售额"),
        sql="SELECT category, sum(revenue) AS revenue FROM dataset GROUP BY ALL ORDER BY 2 DESC",
        spec={
            "encoding": {"y": {**CATEGORY, "sort": None, "title": None}, "x": X_QUANTITY},
            "layer": [
                {"mark": "bar"},
                {
                    "mark": {"type": "text", "align": "left", "dx": 4},
                    "encoding": {"text": {"field": "revenue", "type": "quantitative"}},
                },
            ],
        },
        finding=("{category} sells most: {revenue}", "{category} 的销售额最高：{revenue}"),
    ),
    Chart(
        ("Order value", "订单金额"),
        sql="SELECT revenue FROM dataset LIMIT 6000",
        spec={
            "mark": "bar",
            "encoding": {
                "x": {**X_QUANTITY, "bin": {"maxbins": 30}},
                "y": {"aggregate": "count", "title": ("Orders", "订单数")},
            },
        },
    ),
    Chart(
        ("Names", "名称"),
        sql="SELECT name, count(*) AS orders FROM dataset GROUP BY ALL ORDER BY 2, 1 LIMIT 12",
        spec={
            "mark": "bar",
            "encoding": {
                "y": {"field": "name", "title": None},
                "x": {"field": "orders", "type": "quantitative"},
                "color": {"field": "name", "legend": None},
            },
        },
        finding="Rarest name: {name}",
    ),
    Chart(
        ("Revenue by month and category", "各月各类别销售额"),
        sql="SELECT day, category, revenue FROM dataset LIMIT 5000",
        spec={
            "facet": {"field": "category", "title": None},
            "columns": 3,
            "spec": {
                "mark": "area",
                "encoding": {
                    "x": {"field": "day", "timeUnit": "yearmonth", "title": None},
                    "y": {**X_QUANTITY, "aggregate": "sum"},
                },
            },
        },
    ),
    Chart(
        ("Orders by price", "各价位订单数"),
        sql="""SELECT 10 * floor(price / 10) AS low, low + 10 AS low_end, count(*) AS orders,
                      count(*) / sum(count(*)) OVER () AS share,
                      CASE WHEN low < 50 THEN 'cheap' ELSE 'dear' END AS class_en,
                      CASE WHEN low < 50 THEN '便宜' ELSE '昂贵' END AS class_zh
               FROM dataset GROUP BY ALL ORDER BY low LIMIT 12""",
        spec={
            "layer": [
                {
                    "mark": "bar",
                    "encoding": {
                        "x": {"field": "low", "type": "quantitative", "bin": "binned"},
                        "x2": {"field": "low_end"},
                        "y": {"field": "orders", "type": "quantitative"},
                        "color": {"field": ("class_en", "class_zh"), "title": ("Class", "档次")},
                        "tooltip": [{"field": "share", "format": ".1%", "title": "Share"}],
                    },
                },
                {
                    "data": {"name": "values"},
                    "mark": "rule",
                    "encoding": {"x": {"field": "median", "type": "quantitative"}},
                },
            ]
        },
        finding="Median price: {median}",
        values="SELECT median(price) AS median FROM dataset",
    ),
    Chart(
        "Orders of a category",
        sql="""SELECT category, name, count(*) AS orders FROM dataset
               WHERE starts_with(name, 'Article') GROUP BY ALL ORDER BY ALL""",
        spec={
            "vconcat": [
                {
                    "mark": {"type": "bar", "color": "var(--quiet)"},
                    "params": [
                        {"name": "chosen", "select": {"type": "point", "fields": ["category"]}}
                    ],
                    "encoding": {"x": CATEGORY},
                },
                {
                    "transform": [{"filter": {"param": "chosen", "empty": False}}],
                    "mark": "bar",
                    "encoding": {
                        "x": {"field": "name"},
                        "y": {"field": "orders", "type": "quantitative"},
                    },
                },
            ]
        },
    ),
    Chart("Nothing", sql="FROM dataset WHERE false", spec={"mark": "bar"}, finding="{name}"),
]


def orders(count):
    """Return order lines; some names are hostile."""
    draw = random.Random(7)
    start = datetime(2026, 6, 1, tzinfo=UTC)
    rows = []
    for number in range(count):
        at = start + timedelta(minutes=draw.triangular(0, 90 * 1440, 60 * 1440))
        price, quantity = round(draw.lognormvariate(3, 1), 2), draw.randint(1, 9)
        name = HOSTILE[number] if number < len(HOSTILE) else f"Article {number % 40}"
        category = draw.choice(["Books", "Kitchen", "Garden", "家居"])
        rows.append(
            {
                "order_id": number,
                "name": name,
                "category": category,
                "price": price,
                "quantity": quantity,
                "revenue": price * quantity * (2 if category == "Kitchen" else 1),
                "ordered_at": at,
                "day": date(at.year, at.month, at.day),
            }
        )
    return pa.Table.from_pylist(rows)


def file_of(table, rows):
    return FileEntry(f"{table}.parquet", "parquet", rows, 1, "", table)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("report"))
    workspace.dataset.mkdir()
    for table in ("orders", "revenue_by_day"):
        pq.write_table(orders(6000), workspace.table(table))
    items, rows = FailureGroups(), FailureGroups()
    items.add(Outcome(HOSTILE[0], Status.FAILED, HOSTILE[1], 5))
    rule = {"column": "price", "value": "-1", "rule": "in_range(0, 1000)"}
    rows.add(Outcome("file-1", Status.INVALID, **rule))
    write_groups(workspace.failures, items.groups(), rows.groups())
    pipeline = Pipeline(
        name="orders",
        noun=("order file", "订单文件"),
        source=None,
        contract=None,
        key=("order_id",),
        folds=[Fold("revenue_by_day", key=("day",), sql="FROM dataset")],
        charts=CHARTS,
    )
    counts = Counts(planned=301, ok=300, failed=1)
    run = ("orders", "manual__1", DATE, RunStatus.PARTIAL, counts)
    files = (file_of("orders", 6000), file_of("revenue_by_day", 360))
    manifest = Manifest(
        *run, files, requests=305, started_at=DATE, finished_at=DATE, rows=6000, rejected=1
    )
    return write_report(workspace, pipeline, manifest).page


def open_report(page, report):
    """Open it and return what the browser complained of and requested."""
    complaints, asked = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    article(page, "chart-5").locator("svg").wait_for()
    return complaints, asked


def article(page, chart):
    """The visible article of a chart."""
    return page.locator(f"article[id^={chart}-]").filter(visible=True)


@pytest.fixture(scope="module")
def opened(chromium, report):
    """The report in English and light colours, for all tests that do not need another window."""
    with chromium.new_context(locale="en-US", viewport={"width": 1200, "height": 900}) as context:
        page = context.new_page()
        yield page, *open_report(page, report)


@pytest.fixture
def page(opened):
    return opened[0]


@pytest.mark.parametrize(
    ("locale", "shown", "hidden", "scheme"),
    [
        ("en-US", ["Planned", "15K", "Jun 21"], "计划", "light"),
        ("zh-CN", ["计划", "1.5万", "6月"], "Planned", "dark"),
    ],
)
def test_every_chart_is_drawn_in_the_users_language_and_colours(
    report, open_browser, locale, shown, hidden, scheme
):
    size = {"width": 1200, "height": 900}
    with open_browser(locale=locale, color_scheme=scheme, viewport=size) as page:
        complaints, asked = open_report(page, report)
        text = page.inner_text("body")
        assert all(each in text for each in shown)
        assert hidden not in text
        assert page.locator("article .chart svg").filter(visible=True).count() == len(CHARTS) - 1
        labels = page.locator("article .role-axis-label text").filter(visible=True)
        colours = labels.evaluate_all("all => all.map(each => each.getAttribute('fill'))")
        assert set(colours) == {LABELS[scheme]}
        assert complaints == []
        assert asked == [report.as_uri()]
        assert page.evaluate("document.documentElement.lang")[:2] == locale[:2]


def test_charts_follow_the_switch_of_language_the_colour_scheme_and_paper(page):
    page.get_by_text("简体中文", exact=True).click()
    chart = article(page, "chart-1")
    assert "销售额" in chart.inner_text()
    drawn = {
        scheme: chart.locator(f".role-axis-label text[fill='{colour}']").first
        for scheme, colour in LABELS.items()
    }
    page.emulate_media(color_scheme="dark")
    drawn["dark"].wait_for()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    drawn["light"].wait_for()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    drawn["dark"].wait_for()
    page.emulate_media(color_scheme="light")
    page.get_by_text("English", exact=True).click()


def test_a_click_on_the_legend_fades_the_other_categories(page):
    chart = article(page, "chart-1")
    lines = chart.locator(".mark-line.role-mark path")
    assert lines.evaluate_all("all => all.map(each => each.getAttribute('opacity'))") == ["1"] * 4
    chart.locator(".role-legend-label text", has_text="Kitchen").click()
    faded = chart.locator(".mark-line.role-mark path[opacity='0.12']")
    faded.nth(2).wait_for(state="attached")
    assert faded.count() == 3


def test_a_mark_tells_its_values(page):
    bars = article(page, "chart-2").locator(".mark-rect.role-mark path")
    bars.first.hover()
    assert page.locator("#tip").inner_text().split("\n")[:2] == ["Revenue", "517,523.8"]
    page.mouse.move(0, 0)
    page.locator("#tip").wait_for(state="hidden")


def test_a_line_tells_the_values_of_the_day_near_the_mouse(page):
    """By points that cannot be seen: the line itself is two pixels wide."""
    chart = article(page, "chart-1")
    chart.scroll_into_view_if_needed()
    targets = chart.locator(".mark-symbol.role-mark path")
    days = set()
    for target in (targets.nth(5), targets.nth(40)):
        box = target.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 6)
        page.locator("#tip").wait_for()
        days.add(page.locator("#tip dd").first.inner_text())
        assert target.get_attribute("fill-opacity") == "0"
    assert len(days) == 2
    page.mouse.move(0, 0)


def test_a_printed_report_has_whole_cards_of_the_width_of_the_paper(report, open_browser):
    with open_browser(locale="en-US", viewport={"width": 600, "height": 800}) as page:
        open_report(page, report)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        wide = article(page, "chart-5").locator("svg").bounding_box()["width"]
        assert wide > 800
        page.emulate_media(media="print")
        cards = page.locator("article").filter(visible=True)
        kept = cards.evaluate_all("all => all.map(each => getComputedStyle(each).breakInside)")
        assert kept == ["avoid"] * len(CHARTS)
        printed = page.locator(".page-en").bounding_box()["width"]
        assert 690 < printed < 710


@pytest.mark.parametrize(("form", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg")])
def test_a_chart_is_downloaded_as_a_picture_with_its_title(opened, page, form, start):
    button = article(page, "chart-1").get_by_role("button", name=f"Revenue by day as {form}")
    with page.expect_download() as download:
        button.click()
    assert download.value.suggested_filename == (
        f"orders-2026-09-01-chart-1-revenue-by-day.{form.lower()}"
    )
    content = Path(download.value.path()).read_bytes()
    assert content.startswith(start)
    assert form == "PNG" or b">Revenue by day</text>" in content
    assert opened[1] == []


def test_the_table_has_the_rows_and_the_titles_of_the_chart(page):
    chart = article(page, "chart-2")
    chart.locator("summary").click()
    chart.locator("tbody td").first.wait_for()
    rows = [row.split("\t") for row in chart.locator("table").inner_text().split("\n")]
    assert rows[:2] == [["category", "Revenue"], ["Kitchen", "517,523.8"]]
    assert len(rows) == 5


def test_bins_of_a_query_are_drawn_with_the_value_of_the_finding(page):
    chart = article(page, "chart-6")
    bars = chart.locator(".mark-rect.role-mark path").all()
    assert len(bars) == 12
    assert all(bar.bounding_box()["width"] > 10 for bar in bars)
    assert chart.locator(".mark-rule.role-mark line").count() == 1


def test_a_click_in_a_chart_chooses_what_the_chart_below_it_shows(page):
    """Both are as wide as the page, in its colours."""
    chart = article(page, "chart-7")
    choice = chart.locator(".concat_0_group .mark-rect.role-mark path")
    assert choice.first.get_attribute("fill") == LABELS["light"]
    bars = chart.locator(".concat_1_group .mark-rect.role-mark path")
    assert bars.count() == 0
    choice.last.click()
    bars.first.wait_for()
    views = chart.locator(".role-scope > g > path.background")
    wide = chart.locator(".chart").bounding_box()["width"] - 100
    assert all(view.bounding_box()["width"] > wide for view in views.all())
    assert views.count() == 2


def test_a_pair_of_columns_and_a_share_are_shown_by_language(page):
    for label, heading, legend in [
        ("简体中文", "档次", ["便宜", "昂贵"]),
        ("English", "Class", ["cheap", "dear"]),
    ]:
        page.get_by_text(label, exact=True).click()
        chart = article(page, "chart-6")
        assert chart.locator(".role-legend-label text").all_text_contents() == legend
        chart.locator("summary").click()
        chart.locator("tbody td").first.wait_for()
        assert chart.locator("th").all_inner_texts()[3:] == ["Share", heading]
        share = chart.locator("tbody tr").first.locator("td").nth(3)
        chart.locator(".mark-rect.role-mark path").first.hover()
        assert page.locator("#tip dd").inner_text() == share.inner_text()
        assert share.inner_text().endswith("%")


def test_texts_of_the_data_are_text_and_run_nothing(report, opened, page):
    _, complaints, asked = opened
    names = article(page, "chart-4")
    names.locator("summary").click()
    names.locator("tbody td").first.wait_for()
    shown = names.locator("tbody td").all_inner_texts()
    assert {*HOSTILE[:3], HOSTILE[5], "مرحبا بالعالم", "a bc"} <= set(shown)
    assert page.title() != "run"
    assert page.locator("main img, main script").count() == 0
    assert complaints == []
    assert asked == [report.as_uri()]


def test_nothing_is_wider_than_a_narrow_window(report, open_browser):
    with open_browser(viewport={"width": 360, "height": 800}) as page:
        open_report(page, report)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for picture in page.locator("article svg").filter(visible=True).all():
            assert picture.bounding_box()["width"] <= 330
