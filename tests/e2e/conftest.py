"""One embedded stack for the tests that need Airflow's own scheduler, and a browser for its UI."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

import pytest

from fanfold.embedded.stack import running_stack

CHROMIUM = ["chromium", "chromium-browser", "google-chrome"]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The stack of ``make run``, with the project's DAGs; its tasks defer after seconds, not a minute."""
    environment = {"FANFOLD_DEFER_AFTER": "3"}
    with running_stack(tmp_path_factory.mktemp("stack"), extra_env=environment) as running:
        yield running


@pytest.fixture
def simulator(stack):
    """Ask the stack's simulator; its faults end with the test."""
    from fanfold.simulator.process import Simulator

    simulator = Simulator(stack.simulator_url, stack.token, pid=0)
    simulator.reset()
    yield simulator
    simulator.reset()


@contextmanager
def browser_page(**options):
    """Open a page in Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        reason = "Chromium is not installed: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        try:
            yield browser.new_page(**options)
        finally:
            browser.close()


@pytest.fixture
def open_browser():
    """Open a page with options of the test's own."""
    return browser_page


@pytest.fixture
def page():
    """A page of 1280 by 1000 pixels, in English."""
    with browser_page(viewport={"width": 1280, "height": 1000}, locale="en-US") as opened:
        yield opened
