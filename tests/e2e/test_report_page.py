"""The report in Chromium: languages, hostile names, narrow windows, no external resources."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest

from fanfold import sources
from fanfold.model import Counts, Manifest, Outcome, RunStatus, Status
from fanfold.simulator import people
from fanfold.stages.processing import clean_rows
from fanfold.stages.reporting import write_report
from fanfold.workspace.batch import ITEM
from fanfold.workspace.failure_groups import FailureGroups
from fanfold.workspace.files import write_json

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DATE = "2026-09-01T00:00:00.000Z"
HOSTILE = "<script>document.title='run'</script><img src=x onerror=document.title='run'>"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    uids = [str(1_404_376_560 + number) for number in range(300)]
    records = [people.profile(uid) for uid in uids]
    records[0].update(screen_name=HOSTILE, followers_count=900_000_000)
    records[1].update(screen_name="\u202eمرحبا", followers_count=800_000_000)
    rows, broken = clean_rows(sources.get("weibo"), uids, records, pd.Timestamp(DATE))
    assert not broken
    pq.write_table(rows.drop_columns(ITEM), folder / "users.parquet")
    failures = FailureGroups()
    failures.add(Outcome(HOSTILE, Status.FAILED, HOSTILE, 5))
    write_json(folder / "failures.json", [group.as_json() for group in failures.groups()])
    counts = Counts(planned=301, ok=300, failed=1)
    run = ("weibo_user_profiles", "manual__1", DATE, RunStatus.PARTIAL, counts)
    manifest = Manifest(*run, files=(), requests=305, started_at=DATE, finished_at=DATE)
    return write_report(folder / "users.parquet", folder / "failures.json", manifest, folder).page


def open_report(page, report):
    """Open it and return what the browser complained of and requested."""
    complaints, asked = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    return complaints, asked


@pytest.mark.parametrize(
    ("locale", "shown", "hidden"),
    [("en-US", "Planned", "计划"), ("zh-CN", "计划", "Planned")],
)
def test_the_page_is_in_the_users_language(report, open_browser, locale, shown, hidden):
    with open_browser(locale=locale, viewport={"width": 1200, "height": 900}) as page:
        complaints, asked = open_report(page, report)
        text = page.inner_text("body")
        assert shown in text
        assert hidden not in text
        assert complaints == []
        assert asked == [report.as_uri()]
        assert page.evaluate("document.documentElement.lang")[:2] == locale[:2]


def test_names_are_text_and_run_nothing(report, page):
    open_report(page, report)
    assert "document.title='run'" in page.inner_text("body")
    assert page.title() != "run"
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_window_and_every_chart_has_a_text_and_a_table(
    report, page, width
):
    page.set_viewport_size({"width": width, "height": 800})
    open_report(page, report)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    charts = page.locator(".charts > article").filter(visible=True).all()
    assert len(charts) >= 8
    for chart in charts:
        assert chart.locator("[role=img][aria-label]").count() >= 1
        assert chart.locator("table").count() >= 1
