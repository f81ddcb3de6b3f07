"""Runs on the shared stack, and a browser for its UI."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from fanfold.local.stack import running_stack
from fanfold.simulator.process import Simulator
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace

DAG = "weibo_user_profiles"
MONTH = 30
UIDS = [str(1404376560 + number) for number in range(640)]
DAGS = Path(__file__).parents[2] / "dags"
SUM = "concurrent_sum"
WEEKLY = """
from airflow.sdk import (
    Asset, AssetAlias, PartitionedAssetTimetable, RollupMapper, StartOfWeekMapper, WeekWindow, dag, task
)

@task
def sum_up(): ...

@dag(schedule=[AssetAlias("concurrent_sum_tables")])
def tables():
    sum_up()

@dag(schedule=PartitionedAssetTimetable(
    assets=Asset.ref(name="concurrent_sum_by_date"),
    default_partition_mapper=RollupMapper(upstream_mapper=StartOfWeekMapper(), window=WeekWindow()),
))
def weekly():
    sum_up()

tables()
weekly()
"""
CHAINED = ("weibo_user_profiles", "account_segments", "weibo_hot_topics", "weibo_topic_authors")


@pytest.fixture(scope="session")
def scheduled(tmp_path_factory):
    """A stack whose scheduler starts runs by Assets, with the DAGs of two chains, and of a sum and its weeks.

    It starts none by the clock: that run would have other items. It writes its lineage to a file.
    """
    folder = tmp_path_factory.mktemp("dags")
    for name in CHAINED:
        text = (DAGS / f"{name}.py").read_text("utf-8")
        text = re.sub(r"schedule=policies\.\w+\(.*\)", "schedule=None", text)
        assert "schedule=policies" not in text
        (folder / f"{name}.py").write_text(text, "utf-8")
        if name == DAG:
            (folder / "asking.py").write_text(_with_approval(text), "utf-8")
    (folder / "weekly.py").write_text(WEEKLY, "utf-8")
    text = (DAGS / f"{SUM}.py").read_text("utf-8")
    found = "tasks.batches(PIPELINE, planned"
    assert found in text
    (folder / f"{SUM}.py").write_text(text.replace(found, f'{found}, pool="missing"'), "utf-8")
    home = tmp_path_factory.mktemp("scheduled")
    transport = {"type": "file", "log_file_path": f"{home}/lineage.jsonl", "append": True}
    environment = {
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
        "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
    }
    with running_stack(home, dags=folder, extra_env=environment) as running:
        yield running


def _with_approval(text):
    """Return the file of a DAG ``asking``, which publishes a dataset of its own and loads none."""
    for old, new in {
        "dag_id=PIPELINE": 'dag_id="asking"',
        "folded >> published": "folded >> tasks.approval() >> published",
        "tasks.load(PIPELINE), ": "",
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="session")
def started_by_asset():
    """``started_by_asset(stack, dag_id)``: wait until Airflow has started a run of a DAG; return it."""

    def the_only_run(stack, dag_id, timeout=60):
        deadline = time.monotonic() + timeout
        while not (runs := stack.api("GET", f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"]):
            assert time.monotonic() < deadline, f"no event of an Asset has started {dag_id}"
            time.sleep(0.2)
        (run,) = runs
        assert run["run_type"] == "asset_triggered"
        return run

    return the_only_run


def simulator_of(stack):
    simulator = Simulator(stack.simulator_url, stack.token, pid=0)
    simulator.reset()
    return simulator


@pytest.fixture
def simulator(stack):
    """The stack's simulator; its faults end with the test."""
    yield simulator_of(stack)
    simulator_of(stack)


@pytest.fixture
def open_browser(chromium):
    """``open_browser(**options)``: open a page with these options."""

    @contextmanager
    def open_page(**options):
        context = chromium.new_context(**options)
        context.set_default_timeout(60_000)  # milliseconds; Airflow's UI is slow on a busy machine
        yield context.new_page()
        context.close()

    return open_page


@pytest.fixture
def page(open_browser):
    """A page of 1280 by 1000 pixels, in English."""
    with open_browser(viewport={"width": 1280, "height": 1000}, locale="en-US") as opened:
        yield opened


@dataclass
class Runs:
    """Runs of the pipeline over lists of these users.

    Attributes:
        users: All users.
        broken: Users whose profile breaks the contract in disturbed runs.
        unknown: Users that do not exist in disturbed runs.
    """

    stack: object
    folder: object
    users: tuple = tuple(UIDS)
    broken: tuple = tuple(UIDS[35:40])
    unknown: tuple = tuple(UIDS[40:43])

    def listed(self, users):
        """Write a list of users; return its URI."""
        path = self.folder / f"users-{len(list(self.folder.iterdir()))}.csv"
        path.write_text("\n".join(["user_id", *users]))
        return path.as_uri()

    def run(self, users, *, disturbed=False, day=0, **conf):
        """Run the pipeline to its end on a day of the simulated world; return the id of the run."""
        simulator = simulator_of(self.stack)
        faults = dict.fromkeys(self.broken, "invalid") | dict.fromkeys(self.unknown, "unknown")
        simulator.control(day=day, uids=faults if disturbed else {})
        run_id = self.stack.trigger(DAG, {"items_uri": self.listed(users), **conf})
        assert self.stack.wait(DAG, run_id, timeout=120) == "success"
        simulator.reset()
        return run_id

    def clear(self, run_id, task_id):
        """Clear a task of a run and what comes after it."""
        options = {"dry_run": False, "only_failed": False, "include_downstream": True}
        body = {**options, "dag_run_id": run_id, "task_ids": [task_id]}
        self.stack.api("POST", f"/api/v2/dags/{DAG}/clearTaskInstances", json=body)

    def instances(self, run_id, task_id):
        """Return the instances of a mapped task: at most 100."""
        path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances"
        params = {"task_id": task_id, "limit": 100}
        return self.stack.api("GET", path, params=params)["task_instances"]

    def log_of(self, run_id, task_id, map_index):
        """Return the log of the first try of a mapped task."""
        path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
        params = {"map_index": map_index, "full_content": "true"}
        return json.dumps(self.stack.api("GET", path, params=params), ensure_ascii=False)

    def workspace(self, run_id):
        return Workspace.of_run(self.stack.home.shared, DAG, run_id)

    def manifest(self, run_id):
        return read_json(self.workspace(run_id).manifest)

    def counts(self, run_id):
        return self.manifest(run_id)["counts"]


@pytest.fixture(scope="session")
def runs(stack):
    return Runs(stack, stack.home.inputs)


@pytest.fixture(scope="session")
def partial_run(runs):
    """A run of 145 users, a month after one of 140: five break the contract, three are unknown; 15
    users of the first are not on its list, 20 are new."""
    runs.run(UIDS[:140], batch_size=140)
    return runs.run(UIDS[15:160], disturbed=True, day=MONTH, batch_size=50)


@dataclass
class Visitor:
    """A user of Airflow's UI."""

    stack: object
    page: object

    def log_in(self, path, person="admin"):
        """Log in as Airflow's form does, by its cookie, and open a page."""
        password = json.loads(self.stack.home.passwords.read_text())[person]
        login = {"username": person, "password": password}
        answer = requests.post(f"{self.stack.url}/auth/token", json=login, timeout=30)
        cookie = {"name": "_token", "value": answer.json()["access_token"], "url": self.stack.url}
        self.page.context.add_cookies([cookie])
        self.page.goto(self.stack.url + path)

    def frame(self, title="Items"):
        """The page in its tab of Airflow."""
        return self.page.frame_locator(f"iframe[title='{title}']")

    def alone(self, run_id, person="admin"):
        """Log in and open the page of a run by itself, without Airflow around it."""
        # What moves is half-way for a while: a check of contrast wants it there.
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        self.log_in(f"/fanfold/run?dag_id={DAG}&run_id={run_id}", person)
        self.page.get_by_role("tab").first.wait_for()


@pytest.fixture
def visitor(stack, page):
    """A user of Airflow's UI."""
    return Visitor(stack, page)


@pytest.fixture
def unfolded():
    """``unfolded(frame, key)``: open the failures of a finished run, and the group with this example."""

    def unfold(frame, key):
        frame.get_by_role("tab", name="Failures").click()
        row = frame.get_by_role("row").filter(has=frame.get_by_role("link", name=key))
        row.get_by_role("link", name=re.compile("Show items")).click()
        frame.get_by_role("link", name=re.compile("Hide items")).wait_for()

    return unfold


@pytest.fixture
def number():
    """``number(frame, outcome)``: the number on a tile of the run page."""

    def number_on(frame, outcome):
        tile = frame.locator(".tile").filter(has=frame.get_by_text(outcome, exact=True))
        return int(tile.locator("dd").inner_text().split()[0].replace(",", ""))

    return number_on
