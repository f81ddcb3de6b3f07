"""The report page: self-contained, in both languages, reproducible, safe for any data."""

import base64
import hashlib
import itertools
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from fanfold.errors import BadConfiguration, Inconsistent

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


@pytest.fixture
def page(report, bars):
    """The page of a report with one chart."""
    return Page(report(bars(finding="Most: {city}")).page)


def test_a_page_needs_nothing_from_elsewhere(page):
    for element in page.elements:
        assert element["tag"] not in {"img", "iframe", "object", "embed", "base", "form", "image"}
        assert "src" not in element
        assert element.get("href", "data:,") == "data:,"
        assert "style" not in element
        assert not any(name.startswith("on") for name in element)
    (style,) = page.all("style")
    assert not re.search(r"url\(|@import", style["text"])


def test_the_policy_allows_the_page_alone(page):
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta)["content"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    data, script = page.all("script")
    assert data["type"] == "application/json"
    for element in (*page.all("style"), script):
        digest = base64.b64encode(hashlib.sha256(element["text"].encode()).digest()).decode()
        assert f"{element['tag']}-src 'sha256-{digest}'" in policy


def test_both_languages_show_the_same(page):
    english, chinese = page.all("main")
    assert (english["lang"], chinese["lang"]) == ("en", "zh-Hans")
    assert "Overview" in english["text"]
    assert "概览" in chinese["text"]
    assert "Items of this run (order file)" in english["text"]
    assert "本次运行的条目（订单文件）" in chinese["text"]
    assert not re.search("[一-鿿]", english["text"])
    for tag in ("h2", "h3", "table", "button", "tr", "td", "dt", "article"):
        count = len(page.all(tag))
        assert count
        assert count % 2 == 0, tag


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
    assert [image["aria-label"] for image in images] == ["Bars. Most: Oslo"] * 2


def test_failures_and_rejected_rows_are_grouped_with_counts_and_examples(page):
    failures, rejected = page.all("table")[1:3]
    assert re.search(r"Missing\s*2\s*Weibo 20003: no such user\s*17, 18", failures["text"])
    assert re.search(r"Failed\s*1\s*<script>alert\(1\)</script>\s*<b>1</b>", failures["text"])
    assert re.search(r"1\s*price breaks the rule a < b\s*x\\u200by \(<i>\)", rejected["text"])


def test_key_figures_are_those_of_the_manifest(page):
    english = "".join(page.all("main")[0]["text"].split())
    for words in (
        "Status: Partial",
        "Planned 54",
        "OK 51",
        "Missing 2",
        "Invalid 0",
        "Failed 1",
        "Rows 3",
        "Rejected rows 1",
        "by_city 2",
        "Requests 12,345",
        "From plan to dataset 1 min 30 s",
        "Logical date 2026-03-01 00:00 UTC",
        "Run manual__2026-03-01T00:00:00+00:00",
    ):
        assert words.replace(" ", "") in english, words


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "]]> & &amp; \u2028",
    "{{ 7 * 7 }} {% raw %}",
    "\u202eevil\u202c name",
    "nul\x00bell\x07",
    "a" * 10_000,
]


def test_a_merged_dataset_is_shown_beside_the_rows_of_its_run(report, bars, manifest):
    """Only in mode ``merge``; what is zero is left out."""
    fields = {"mode": "merge", "generation": 3, "run_rows": 12_345, "superseded": 6_789}
    page = Page(report(bars(), of=replace(manifest, **fields, pending=77)).page)
    shown = [each["text"] for each in page.all("div") if "tile" in each.get("class", "").split()]
    for text in ("Rows of this run12,345of its own items", "本次运行的行数12,345来自其自身的条目"):
        assert text in shown
    assert "Superseded rows6,789a newer row has their key" in shown
    assert any(text.startswith("Pending items77") for text in shown)
    words = ("Rows of this run", "Superseded", "Deleted keys", "Pending", "Dropped columns")
    assert "Deleted keys" not in page.text
    assert not any(word in report(bars()).page.read_text("utf-8") for word in words)


def test_dropped_columns_of_files_are_named_with_their_number_of_files(report, bars, manifest):
    columns = {f"column {number:02}": 1 for number in range(24)} | {"<b>\u200b": 1_234}
    page = Page(report(bars(), of=replace(manifest, dropped_columns=columns)).page)
    facts = [each["text"] for each in page.all("div") if each["text"].startswith("Dropped columns")]
    assert len(facts) == 1
    assert "<b>\\u200b (1,234), column 00 (1), column 01 (1)" in facts[0]
    assert "column 18 (1), and 5 more" in facts[0]


def test_values_of_the_data_are_text(report, bars):
    names = ", ".join("('" + name.replace("\0", "\1") + "')" for name in HOSTILE)
    sql = f"SELECT city, 1 AS count FROM (VALUES {names}) AS t(city)"
    page = Page(report(bars(sql, finding="First: {city}")).page)
    data, _ = page.all("script")
    assert "<" not in data["text"]
    (chart,) = json.loads(data["text"])["charts"]
    shown = [row[0] for row in chart["rows"]]
    assert shown[:2] == HOSTILE[:2]
    assert shown[3:6] == ["{{ 7 * 7 }} {% raw %}", "evil name", "nul bell"]
    assert len(shown[6]) == 120
    assert "First: </script><script>alert(1)</script>" in page.all("main")[0]["text"]


def test_a_chart_without_rows_says_so_in_both_languages(report, bars):
    page = Page(report(bars("FROM dataset WHERE false", finding="Most: {city}")).page)
    english, chinese = page.all("article")
    assert "No data" in english["text"]
    assert "没有数据" in chinese["text"]
    assert "Most" not in english["text"]


def test_drawing_a_report_again_writes_the_same_bytes(report, bars):
    first = report(bars()).page.read_bytes()
    assert report(bars()).page.read_bytes() == first


def test_a_missing_table_is_named(report, workspace, bars):
    workspace.table("by_city").unlink()
    with pytest.raises(Inconsistent, match=r"by_city\.parquet"):
        report(bars())


def test_pictures_need_their_extra_and_a_known_form(report, bars, monkeypatch):
    monkeypatch.setenv("FANFOLD_REPORT_PICTURES", "gif")
    with pytest.raises(BadConfiguration, match="FANFOLD_REPORT_PICTURES must be png or svg"):
        report(bars())


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """The contrast ratio of WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light and print", "dark"])
def test_colours_contrast_with_their_background(page, theme):
    """Text by 4.5:1 and bars by 3:1, as WCAG 2.2 asks (1.4.3 and 1.4.11, level AA)."""
    themes = re.findall(r":root(?::not\(\.paper\))? \{(.*?)\}", page.text, re.DOTALL)
    assert len(themes) == 2
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", themes[theme]))
    for ground in ("card", "ground"):
        for text in ("ink", "quiet", "link"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for badge in ("badge-ok", "badge-invalid", "badge-missing", "failed"):
        assert contrast(colours["on-badge"], colours[badge]) >= 4.5, badge
    for mark in ("main", *(f"c{number}" for number in range(1, 9))):
        assert contrast(colours[mark], colours["card"]) >= 3, mark
