"""How long people wait in a real Chromium, from the click to the numbers on the screen."""

from __future__ import annotations

import shutil
import statistics
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import page_workspace as making
import tables
from measuring import percentile
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from page_server import Site

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
TIMES = 15
PATIENCE_MS = 30_000
LOOK_MS = 50
# Frame by frame: when what is waited for is there, and the frame that has it was drawn.
_WATCH = """
const look = () => {
  if (document.querySelector("%s")) {
    requestAnimationFrame(() => setTimeout(() => { window.drawnAt = performance.now(); }));
  } else {
    requestAnimationFrame(look);
  }
};
look();
"""


def drawn(site: Site, run_id: str) -> dict[str, Any]:
    """Return median and 95th percentile in ms from the start of a navigation to its numbers.

    Our page is opened alone, as its frame inside Airflow's page has it: in a browser that has never
    been there, and in one that has. The baseline is Airflow's own page of the same run, up to the
    first row of its task instances, in a browser that has never been there.
    """
    ours = f"/fanfold/run?dag_id={making.DAG}&run_id={run_id}"
    airflows = f"/dags/{making.DAG}/runs/{run_id}"
    waits: dict[str, list[float]] = {
        tables.PAGE_DRAWN: [], tables.PAGE_DRAWN_AGAIN: [], tables.PAGE_DRAWN_BASELINE: [],
    }  # fmt: skip
    with _chromium() as browser:
        for _ in range(TIMES + 1):
            with _visitor(browser, site, ".tile dd") as page:
                waits[tables.PAGE_DRAWN].append(_open(page, site.address + ours))
                waits[tables.PAGE_DRAWN_AGAIN].append(_open(page, site.address + ours))
            with _visitor(browser, site, "tbody tr td") as page:
                waits[tables.PAGE_DRAWN_BASELINE].append(_open(page, site.address + airflows))
    return {
        name: {
            "median_ms": round(statistics.median(taken[1:]), 1),
            "p95_ms": round(percentile(taken[1:], 0.95), 1),
        }
        for name, taken in waits.items()
    }


@contextmanager
def _chromium() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        raise RuntimeError("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _visitor(browser: Any, site: Site, waits_for: str) -> Iterator[Any]:
    """Open a page of a browser that has never been anywhere, logged in."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.add_cookies([{"name": "_token", "value": site.token, "url": site.address}])
    context.add_init_script(_WATCH % waits_for)
    try:
        yield context.new_page()
    finally:
        context.close()


def _open(page: Any, address: str) -> float:
    page.goto(address)
    # Asked from outside: what waits inside the page is a string to be run, which it does not allow.
    for _ in range(PATIENCE_MS // LOOK_MS):
        at = page.evaluate("window.drawnAt")
        if at is not None:
            return float(at)
        page.wait_for_timeout(LOOK_MS)
    raise RuntimeError(f"{address} shows no numbers after {PATIENCE_MS} ms.")
