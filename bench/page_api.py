"""The run page's API on a long list: how long people wait, and what watching costs the server.

    python bench/page_api.py --items 100000 1000000 [--json FILE]
    python bench/page_api.py --plan 1000000 10000000 [--json FILE]
    python bench/page.py FILE --only page-api

The first form makes a run of each length with the project's own stages, puts it into the database of
an Airflow of its own, starts Airflow's api-server with the plugin in it, and asks it over HTTP: each
request once to warm up, then so many times, one after the other. Ratios are to what Airflow's own
REST API takes on the same server for a page of 100 task instances of the same run. The second form
measures what the index of keys adds to planning. A million items take some ten minutes on two cores,
most of them to make the run.
"""

from __future__ import annotations

import argparse
import os.path
import random
import re
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import page_browser
import page_server
import page_workspace as making
import tables
from measuring import percentile
from page_index import plan_index
from page_server import Airflow
from results import Results

from fanfold.model import Status
from fanfold.workspace.files import read_json
from fanfold.workspace.key_index import positions
from fanfold.workspace.paths import FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from page_server import Answer, Site
    from page_workspace import Made

    Ask = Callable[[], Answer]

PAGE = "/fanfold"
GOING = 6
"""Batches that are fetched at this moment, in the run that is active."""
POLLS = 100
SCANS = 10
_IMPORT = re.compile(
    rb'^\s*(?:import|export)\s*(?:[\w$*{},\s]+?\bfrom\s*)?["\'](\.[^"\']+)["\']', re.MULTILINE
)
_LINKED = re.compile(rb'<(?:link|script)[^>]*?(?:href|src)="(static/[^"]+)"')


def needed_files(read: Callable[[str], bytes]) -> list[str]:
    """Return what a browser loads for the first paint, from the page down, in its order.

    Args:
        read: Returns a file by its address below the page's.
    """
    waiting = [found.decode() for found in _LINKED.findall(read("run"))]
    needed: list[str] = []
    for address in waiting:
        needed.append(address)
        if address.endswith(".js"):
            folder = address.rpartition("/")[0]
            for found in _IMPORT.findall(read(address)):
                target = os.path.normpath(f"{folder}/{found.decode()}")
                if target not in waiting:
                    waiting.append(target)
    return needed


@dataclass(frozen=True, slots=True)
class Run:
    """A run on a server, and what can be asked about it.

    Attributes:
        site: The server.
        run_id: The run.
        made: Its workspace.
        keys: Keys of items at random, by what became of them.
    """

    site: Site
    run_id: str
    made: Made
    keys: dict[Status, list[str]]

    def ask(self, part: str = "", *, body: Any = None, **params: Any) -> Answer:
        """Ask the page's API for a part of the run."""
        path = f"{PAGE}/api/dags/{making.DAG}/runs/{self.run_id}{part}"
        return self.site.ask(path, params, body=body)

    def page(self, address: str) -> Answer:
        """Ask for the page, or for a file of it."""
        params = {"dag_id": making.DAG, "run_id": self.run_id} if address == "run" else None
        return self.site.ask(f"{PAGE}/{address}", params)

    def instances(self) -> Answer:
        """Ask Airflow's own REST API for a page of the run's task instances."""
        path = f"/api/v2/dags/{making.DAG}/dagRuns/{self.run_id}/taskInstances"
        return self.site.ask(path, {"limit": 100})

    def item(self, keys: Iterator[str], *, cold: bool = False) -> Answer:
        """Ask for the next item; where cold, after its files left the page cache."""
        key = next(keys)
        if cold:
            self._let_go(key)
        return self.ask("/items", key=key)

    def _let_go(self, key: str) -> None:
        workspace = self.made.workspace
        batch = self.made.plan.batch_of(int(key) - making.FIRST_UID)
        parts = [
            path for _, raw, outcomes in workspace.batch(batch).parts() for path in (raw, outcomes)
        ]
        own = (
            workspace.keys,
            workspace.batch(batch).rows_file,
            workspace.batch(batch).invalid_file,
            workspace.plan,
        )
        making.let_go([*parts, *own])

    def finished(self) -> dict[str, Ask]:
        """Return what is asked about a run that is finished, by its name in the table."""
        failed = self.made.workspace.dataset / FAILED
        groups = read_json(self.made.workspace.failures)
        ids = {group["reason"]: group["id"] for group in self.ask("/failures").json()["groups"]}
        most = ids[groups[0]["reason"]]
        seldom = ids[making.seldom_group(self.made.workspace)["reason"]]
        half = {"offset": self.made.manifest.counts.ok // 2}
        middle = failed.stat().st_size // 2
        found = {name: iter(keys * 10) for name, keys in self.keys.items()}
        everything: dict[str, Any] = {"dry_run": True}
        return {
            "summary, finished": self.ask,
            "batches": lambda: self.ask("/batches"),
            "item by key: ok": lambda: self.item(found[Status.OK]),
            "item by key: missing": lambda: self.item(found[Status.MISSING]),
            "item by key: invalid": lambda: self.item(found[Status.INVALID]),
            "item by key: ok, from disk": lambda: self.item(found[Status.OK], cold=True),
            "suggestions": lambda: self.ask(
                "/suggestions", prefix=next(found[Status.OK])[: random.randint(3, 9)]
            ),
            "failures by reason": lambda: self.ask("/failures"),
            "failed items of a group": lambda: self.ask("/failures/items", group=most),
            "failed items of a group, from the middle on": lambda: self.ask(
                "/failures/items", group=most, after=middle
            ),
            "dataset, 100 rows": lambda: self.ask("/dataset"),
            "dataset, 100 rows from the middle on": lambda: self.ask("/dataset", **half),
            "comparison": lambda: self.ask("/comparison"),
            "redrive (dry run) of all that failed": lambda: self.ask("/redrive", body=everything),
            "redrive (dry run) of a group in half of the batches": lambda: self.ask(
                "/redrive", body={"dry_run": True, "groups": [seldom]}
            ),
            "pipelines": lambda: self.site.ask(f"{PAGE}/api/pipelines"),
            "the page (HTML)": lambda: self.page("run"),
            tables.PAGE_BASELINE: self.instances,
        }


def in_turn(asks: dict[str, Ask], times: int) -> dict[str, list[Answer]]:
    """Send each request once to warm up and then so often, one after the other, in turn.

    What else the machine does meanwhile falls on all of them alike.
    """
    for ask in asks.values():
        ask()
    answers: dict[str, list[Answer]] = {name: [] for name in asks}
    for _ in range(times):
        for name, ask in asks.items():
            answers[name].append(ask())
    return answers


def figures_of(rounds: list[list[Answer]]) -> dict[str, float]:
    """Return median and 95th percentile in ms of some requests together, and their answers' KiB."""
    sums = [sum(answer.seconds for answer in answers) for answers in rounds]
    sent = [sum(len(answer.content) for answer in answers) for answers in rounds]
    sizes = [sum(len(answer.plain()) for answer in answers) for answers in rounds]
    return {
        "median_ms": round(1000 * statistics.median(sums), 2),
        "p95_ms": round(1000 * percentile(sums, 0.95), 2),
        "sent_kib": round(statistics.median(sent) / 1024, 2),
        "kib": round(statistics.median(sizes) / 1024, 2),
    }


def scan(made: Made, keys: list[str], *, cold: bool = False) -> float:
    """Return the median ms in which a key is found by looking through the outcomes of all parts.

    Args:
        made: The run.
        keys: Keys that the plan has.
        cold: Whether the files leave the page cache before.
    """
    files = making.outcomes_files(made.workspace, made.plan)

    def look_for(key: str) -> bool:
        beginning = f'{{"key":"{key}",'.encode()
        return any(beginning in path.read_bytes() for path in files)

    return _milliseconds(look_for, keys, before=lambda: making.let_go(files) if cold else None)


def look_up(made: Made, keys: list[str]) -> float:
    """Return the median ms in which the index says where a key stands."""
    return _milliseconds(lambda key: positions(made.workspace.keys, [key]), keys)


def _milliseconds(
    find: Callable[[str], object], keys: list[str], before: Callable[[], None] = lambda: None
) -> float:
    taken = []
    for key in keys:
        before()
        start = time.perf_counter()
        found = find(key)
        taken.append(time.perf_counter() - start)
        if not found:
            raise RuntimeError(f"{key} is not found.")
    return round(1000 * statistics.median(taken), 2)


def measure(airflow: Airflow, made: Made, run_id: str, times: int) -> dict[str, Any]:
    """Serve a run and return all figures of its page."""
    keys = _some_keys(made.plan.items, 2 * times + 2)
    with airflow.served() as site:
        run = Run(site, run_id, made, keys)
        # As for a person who comes a moment after the server: it has imported what it needs.
        run.ask("/items", key=keys[Status.OK][0])
        answers = in_turn(run.finished(), times)
        files = ["run", *needed_files(lambda address: run.page(address).plain())]
        painted = [[*map(run.page, files), run.ask()] for _ in range(times)]
        browser = page_browser.drawn(site, run_id)
        airflow.set_state(run_id, "running")
        making.set_going(made.workspace, GOING)
        answers |= in_turn({"summary, active": run.ask}, times)
        before = site.tree.cpu_s()
        for _ in range(POLLS):
            run.ask()
        used = site.tree.cpu_s() - before
        airflow.set_state(run_id, "success")
        peak = site.tree.largest_mb()
    return {
        "items": made.plan.items,
        "batches": made.plan.batches,
        "times": times,
        "requests": {name: figures_of([[each] for each in of]) for name, of in answers.items()},
        "first_paint": figures_of(painted) | {"files": len(files)},
        "browser": browser,
        "look_up_ms": look_up(made, keys[Status.OK]),
        "scan_ms": scan(made, keys[Status.OK][:SCANS]),
        "cold_scan_ms": scan(made, keys[Status.OK][:SCANS], cold=True),
        "poll_cpu_s": round(used, 3),
        "peak_mb": round(peak, 1),
        "keys_db": making.size_of(made.workspace.keys),
        "workspace": making.size_of(made.workspace.root),
        "made_s": {step: round(seconds, 1) for step, seconds in made.seconds.items()},
        "counts": made.manifest.as_json()["counts"],
    }


def _some_keys(items: int, count: int) -> dict[Status, list[str]]:
    generator = random.Random(items)
    found: dict[Status, list[str]] = {}
    for status in Status:
        drawn = iter(lambda: generator.randrange(items), None)
        chosen = (place for place in drawn if making.status_at(place) is status)
        found[status] = [making.key_at(place) for place in islice(chosen, count)]
    return found


def main() -> None:
    """Measure what is asked for and print the table."""
    given = _arguments()
    results = Results(given.json)
    with tempfile.TemporaryDirectory(prefix="fanfold-page-") as temporary:
        for items in given.plan:
            # A process of its own, for its peak of memory.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                found = pool.submit(plan_index, items, Path(temporary) / str(items)).result()
            results.keep("page_index", str(items), found)
            shutil.rmtree(Path(temporary) / str(items))
        if given.items:
            _measure_runs(given, Path(temporary) / "airflow", results)
    print(f"\n{tables.page_api(results.data)}")


def _measure_runs(given: Any, folder: Path, results: Results) -> None:
    airflow = Airflow(folder)
    for day, items in enumerate(given.items):
        date = page_server.FIRST_DATE + timedelta(days=day)
        run_id = f"scheduled__{date:%Y-%m-%d}"
        print(f"{datetime.now(UTC):%H:%M:%S} {items:,} items", flush=True)
        made = making.make(airflow.home.shared, run_id, date, items)
        if not day:
            airflow.add_past_runs(made)
        airflow.add_run(run_id, date, made)
        results.keep("page_api", str(items), measure(airflow, made, run_id, given.times))
        shutil.rmtree(made.workspace.root)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[], help="lengths of the lists")
    parser.add_argument("--times", type=int, default=30, help="how often each request is sent")
    parser.add_argument(
        "--plan", type=int, nargs="+", default=[], help="lengths of lists that are only planned"
    )
    parser.add_argument("--json", type=Path, help="where the figures are kept and added to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
