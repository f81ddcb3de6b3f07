"""The report page: self-contained, in both languages, reproducible, safe for any data."""

import base64
import hashlib
import itertools
import re
import shutil
from collections import Counter
from html.parser import HTMLParser

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.model import Basis, Forecast, RunStatus
from fanfold.stages.processing.contract import SCHEMA
from fanfold.stages.reporting import style, write_report

FORECAST = Forecast(12_000, 61.0, Basis.QUOTA)
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """The elements of a page, with the text within each."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text("utf-8")
        self.elements = []
        self._open = []
        self.feed(self.text)
        self.close()
        assert not self._open, "every element is closed"

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), "no attribute twice"
        element = {"tag": tag, "text": "", **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append({"tag": tag, "text": "", **dict(attrs)})

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, tag):
        return [element for element in self.elements if element["tag"] == tag]


@pytest.fixture(scope="module")
def page(reported):
    """The page of the shared report."""
    return Page(reported[1].page)


def test_a_page_needs_nothing_from_elsewhere(page):
    for element in page.elements:
        assert element["tag"] not in {"img", "iframe", "object", "embed", "base", "form", "image"}
        assert "src" not in element
        assert element.get("href", "data:,") == "data:,"
        assert "style" not in element
        assert not any(name.startswith("on") for name in element)
    assert not re.search(r"url\(|@import|https?://", page.text)


def test_the_policy_allows_the_page_alone(page):
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta)["content"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (element,) = page.all(tag)
        digest = base64.b64encode(hashlib.sha256(element["text"].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_both_languages_show_the_same(page):
    english, chinese = page.all("main")
    assert (english["lang"], chinese["lang"]) == ("en", "zh-Hans")
    assert "Overview" in english["text"]
    assert "概览" in chinese["text"]
    assert not re.search("[一-鿿]", re.sub("(用户|名字)[0-9]+", "", english["text"]))
    for tag in ("h2", "h3", "table", "svg", "tr", "td", "dt", "article"):
        count = len(page.all(tag))
        assert count
        assert count % 2 == 0, tag
    figures = [re.findall(r"\d[\d,.]*%", element["text"]) for element in page.all("table")]
    assert figures[: len(figures) // 2] == figures[len(figures) // 2 :]
    assert len(page.all("h3")) // 2 == 3 + 8


def test_a_page_is_readable_by_a_screen_reader(page):
    levels = [
        int(element["tag"][1])
        for element in page.elements
        if re.fullmatch("h[1-6]", element["tag"])
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = Counter(element["id"] for element in page.elements if "id" in element)
    assert set(ids.values()) == {1}
    for element in page.elements:
        if "aria-labelledby" in element:
            assert element["aria-labelledby"] in ids
        if element["tag"] == "label":
            assert element["for"] in ids
    images = [element for element in page.elements if element.get("role") == "img"]
    assert len(images) == 16
    for image in images:
        assert re.search(r"\d", image["aria-label"])
    assert all(element["aria-hidden"] == "true" for element in page.all("svg"))


def test_failures_are_grouped_by_reason_with_counts_and_examples(page):
    table = page.all("table")[len(page.all("table")) // 2 - 1]["text"]
    assert re.search(r"Missing\s*2\s*Weibo 20003: no such user\s*17, 18", table)
    assert re.search(r"Invalid\s*1\s*name breaks the rule a < b\s*<b>1</b> \(<i>\)", table)


def test_key_figures_are_those_of_the_manifest(page):
    english = " ".join(page.all("main")[0]["text"].split())
    for words in (
        "Status: Partial",
        "Planned 54",
        "OK 50",
        "Missing 2",
        "Invalid 1",
        "Failed 1",
        "Rows 50",
        "Requests 12,345 forecast: 12,000",
        "Duration 1 min 30 s",
        "Forecast 1 min 1 s based on the quota",
        "Logical date 2026-03-01 00:00 UTC",
        "Run manual__2026-03-01T00:00:00+00:00",
    ):
        assert words.replace(" ", "") in english.replace(" ", ""), words


def test_names_keys_and_reasons_are_text(run, users, hostile_names, failures):
    rows = users(len(hostile_names))
    for row, name in zip(rows, hostile_names, strict=True):
        row |= {"name": name, "screen_name": name, "followers_count": 10**6}
    rows[0]["region"] = "<b>火星</b>"
    page = Page(
        run.write(rows, failures, dag_id="<i>dag</i>", run_id="<u>run</u>\u202e").report().page
    )
    assert not page.all("b") + page.all("i") + page.all("u") + page.all("img")
    assert len(page.all("script")) == 1
    shown = {element["text"] for element in page.all("bdi")}
    assert "<script>alert(1)</script>" in shown
    assert "$x^2$ and $\\frac{1}{0$" in shown
    assert "{{ 7 * 7 }} {% raw %}" in shown
    assert "مرحبا بالعالم" in shown
    assert "x\\u200by" in shown
    assert not re.search("[\0-\x08\u202a-\u202e\u200b]", page.text)
    assert all(len(text) < 500 for text in shown)


def test_drawing_a_report_again_writes_the_same_bytes(reported, tmp_path):
    run, first = reported
    again = write_report(run.dataset, run.failures, run.manifest, tmp_path, forecast=FORECAST)
    assert [path.name for path in again.files] == [path.name for path in first.files]
    assert [path.read_bytes() for path in again.files] == [
        path.read_bytes() for path in first.files
    ]


@pytest.mark.parametrize(
    ("rows", "failed", "status", "charts"),
    [(0, 0, RunStatus.EMPTY, 1), (0, 4, RunStatus.PARTIAL, 1), (1, 0, RunStatus.COMPLETE, 8)],
)
def test_a_small_run_has_a_complete_page(run, rows, failed, status, charts, users, failures, as_of):
    made = users(rows, last_status_at=as_of, region="广东", verified_type="none")
    report = run.write(made, failures[:failed], status=status).report()
    page = Page(report.page)
    assert len(page.all("svg")) == 2 * charts
    assert len(report.charts) == charts
    assert all(path.stat().st_size for path in report.files)
    assert len(page.all("li")) == 2 * (8 - charts)


def test_the_page_does_not_grow_with_the_rows(run, tmp_path, users, manifest_of):
    """100,000 rows take no more space on the page than a few hundred."""
    table = pa.Table.from_pylist(users(1000), SCHEMA)
    with pq.ParquetWriter(run.dataset, SCHEMA, compression="zstd") as writer:
        for _ in range(100):
            writer.write_table(table)
    run.failures.write_text("[]")
    report = write_report(run.dataset, run.failures, manifest_of(100_000), tmp_path / "report")
    assert report.page.stat().st_size < 200_000
    assert "100,000 of 100,000 items" in report.page.read_text("utf-8")


def test_charts_of_an_earlier_report_are_removed(reported, run, users):
    first = shutil.copytree(reported[0].folder, run.folder)
    second = run.write(users(5, region=None)).report()
    gone = {path.name for path in reported[1].charts} - {path.name for path in second.charts}
    assert gone == {"chart-regions.png"}
    assert set(first.iterdir()) == set(second.files)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """The contrast ratio of WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_colours_contrast_with_their_background(page, theme):
    """Text by 4.5:1 and bars by 3:1, as WCAG 2.2 asks (1.4.3 and 1.4.11, level AA)."""
    themes = re.findall(r":root \{(.*?)\}", page.text, re.DOTALL)
    assert len(themes) == 3
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", themes[theme]))
    for ground in ("card", "ground"):
        for text in ("ink", "quiet", "link"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for badge in ("badge-ok", "badge-invalid", "badge-missing", "failed"):
        assert contrast(colours["on-badge"], colours[badge]) >= 4.5, badge
    for bar in style.COLOURS:
        assert contrast(colours[bar], colours["card"]) >= 3, bar
