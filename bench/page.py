"""Response times of the run page on a long list, over HTTP and in Chromium.

    python bench/page.py --users 100000 1000000

Runs the pipeline in a local stack, with 1 % of the users missing and 20 users failed, then sends each
request of the page to the api-server in turn. Ratios are to the request for 100 task instances of the
same run through Airflow's REST API, which Airflow's UI sends to show a page of mapped tasks. In
Chromium, times are from the start of the navigation to the frame that shows the figures; their ratios
are to Airflow's own page of the run.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from figures import figure, machine, table
from playwright.sync_api import sync_playwright
from stack import FIRST_UID, PIPELINE, Bench, running_bench
from watching import Watch

from fanfold.workspace.files import read_jsonl
from fanfold.workspace.paths import FAILED
from fanfold.workspace.paths import MISSING as MISSING_ITEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MISSING = {"unknown": 0.01}
"""Share of the requests that are answered with "no such user"."""
FAILED_USERS = 20
REJECTED = "10017"
"""Weibo's error for an invalid parameter, which fails the user."""
API_BASELINE = "Airflow's REST API: 100 task instances"
BROWSER_BASELINE = "Airflow's page of the same run, new browser"
POLLS = 100
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
TIMEOUT_MS = 60_000
# Sets window.drawnAt after the first frame that has the element.
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


def requests_of(bench: Bench, run_id: str, users: int) -> dict[str, Callable[[], Any]]:
    """Return the requests of the page by name, the baseline first."""
    api = bench.stack.api
    page = f"/fanfold/api/dags/{PIPELINE}/runs/{run_id}"
    tasks = f"/api/v2/dags/{PIPELINE}/dagRuns/{run_id}/taskInstances"
    lists = (bench.workspace(run_id).dataset / name for name in (FAILED, MISSING_ITEMS))
    status = {each["key"]: each["status"] for path in lists for each in read_jsonl(path)}
    drawn = (str(FIRST_UID + random.randrange(users)) for _ in itertools.count())
    ok = (key for key in drawn if key not in status)
    missing = itertools.cycle(key for key, found in status.items() if found == "missing")
    return {
        API_BASELINE: lambda: api("GET", tasks, params={"limit": 100}),
        "summary": lambda: api("GET", page),
        "batches": lambda: api("GET", f"{page}/batches"),
        "item by key: ok": lambda: api("GET", f"{page}/items", params={"key": next(ok)}),
        "item by key: missing": lambda: api("GET", f"{page}/items", params={"key": next(missing)}),
        "failures by reason": lambda: api("GET", f"{page}/failures"),
        "dataset, 100 rows": lambda: api("GET", f"{page}/dataset"),
        "dataset, sorted and filtered": lambda: api(
            "GET", f"{page}/dataset", params={"sort": "followers_count", "filter": "contains::a"}
        ),
        "suggestions by name": lambda: api("GET", f"{page}/suggestions", params={"prefix": "zzz"}),
        "redrive (dry run)": lambda: api("POST", f"{page}/redrive", json={"dry_run": True}),
        "pipelines": lambda: api("GET", "/fanfold/api/pipelines"),
    }


def in_turn(requests: dict[str, Callable[[], Any]], times: int) -> dict[str, list[float]]:
    """Send each request once to warm up, then N times in turn; return their milliseconds."""
    taken: dict[str, list[float]] = {name: [] for name in requests}
    for _ in range(times + 1):
        for name, send in requests.items():
            start = time.perf_counter()
            send()
            taken[name].append(1000 * (time.perf_counter() - start))
    return {name: each[1:] for name, each in taken.items()}


def in_chromium(bench: Bench, run_id: str, times: int) -> dict[str, list[float]]:
    """Return the milliseconds until each page shows the figures of the run."""
    url = bench.stack.url
    ours = f"{url}/fanfold/run?dag_id={PIPELINE}&run_id={run_id}"
    airflows = f"{url}/dags/{PIPELINE}/runs/{run_id}"
    new, again = "run page, new browser", "run page, second visit"
    taken: dict[str, list[float]] = {BROWSER_BASELINE: [], new: [], again: []}
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        for _ in range(times + 1):  # the first one warms up
            with _visit(browser, bench, ".tile dd") as visit:
                taken[new].append(visit(ours))
                taken[again].append(visit(ours))
            with _visit(browser, bench, "tbody tr td") as visit:
                taken[BROWSER_BASELINE].append(visit(airflows))
        browser.close()
    return {name: each[1:] for name, each in taken.items()}


@contextmanager
def _visit(browser: Any, bench: Bench, selector: str) -> Iterator[Callable[[str], float]]:
    """Open a new browser profile, logged in; yield a function that opens a page and times it."""
    stack = bench.stack
    login = {"username": stack.login, "password": stack.password}
    token = stack.api("POST", "/auth/token", json=login)["access_token"]
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.add_cookies([{"name": "_token", "value": token, "url": stack.url}])
    context.add_init_script(_WATCH % selector)
    page = context.new_page()

    def visit(address: str) -> float:
        page.goto(address)
        # wait_for_function evaluates a string in the page, which its security policy forbids.
        deadline = time.monotonic() + TIMEOUT_MS / 1000
        while (at := page.evaluate("window.drawnAt")) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{address} shows no figures after {TIMEOUT_MS} ms.")
            page.wait_for_timeout(20)
        return float(at)

    try:
        yield visit
    finally:
        context.close()


def rows(taken: dict[str, list[float]], baseline: str) -> Iterable[list[str]]:
    """Yield name, median with its ratio to the baseline, and 95th percentile."""
    base = statistics.median(taken[baseline])
    for name, each in taken.items():
        p95 = statistics.quantiles(each, n=20, method="inclusive")[-1]
        yield [name, figure(statistics.median(each), base), figure(p95)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, nargs="+", required=True, help="lengths of the lists")
    parser.add_argument("--times", type=int, default=30, help="requests of each kind")
    parser.add_argument("--visits", type=int, default=15, help="visits of each page in Chromium")
    given = parser.parse_args()
    print(machine())
    with running_bench() as bench:
        for users in given.users:
            conf = {"items_uri": bench.users(users), "tolerated_failure_percentage": 10}
            failed = range(FIRST_UID, FIRST_UID + users, max(1, users // FAILED_USERS))
            faults = {"error_rate": MISSING, "uids": {str(uid): REJECTED for uid in failed}}
            run = bench.run(PIPELINE, conf, items=users, timeout=7200, **faults)
            requests = requests_of(bench, run.run_id, users)
            taken = in_turn(requests, given.times)
            with Watch(bench.stack.state.processes["api-server"]) as watch:
                for _ in range(POLLS):
                    requests["summary"]()
            browser = in_chromium(bench, run.run_id, given.visits)
            print(f"\n### {users:,} users\n")
            print(table(["request", "median, ms", "95th, ms"], rows(taken, API_BASELINE)))
            print(f"\nCPU of the api-server for {POLLS} summaries: {watch.cpu_s:.2f} s\n")
            print(table(["in Chromium", "median, ms", "95th, ms"], rows(browser, BROWSER_BASELINE)))
            bench.remove(run)


if __name__ == "__main__":
    main()
