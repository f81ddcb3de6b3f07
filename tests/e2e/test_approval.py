"""A run that exceeds its tolerance asks whether it is published, on Airflow's scheduler."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fanfold.local.state import StackFailed
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace

# The stack with a DAG that asks. Playwright's own clean-up warns.
pytestmark = [
    pytest.mark.xdist_group("scheduled"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

DAG = "asking"
USERS = [str(1404370000 + number) for number in range(10)]


@pytest.fixture(scope="session")
def stack(scheduled):
    """The stack of fixtures like ``visitor`` and ``simulator``."""
    return scheduled


@pytest.fixture
def messages(stack):
    """The messages that a webhook has received; it is the channel of notices during the test."""
    received = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            received.append(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever).start()
        config = json.dumps({"config": [{"path": f"json://127.0.0.1:{server.server_port}"}]})
        connection = {"connection_id": "notify_default", "conn_type": "apprise", "extra": config}
        stack.api("POST", "/api/v2/connections", json=connection)
        yield received
        stack.api("DELETE", "/api/v2/connections/notify_default")
        server.shutdown()


class Run:
    """A run of which three of ten users break the contract."""

    def __init__(self, stack, simulator, run_id):
        self.stack, self.run_id, self.asked = stack, run_id, 0
        simulator.control(uids=dict.fromkeys(USERS[:3], "invalid"))
        stack.trigger(DAG, {"user_ids": USERS, "batch_size": 10}, run_id=run_id)
        self.path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/approval"

    def page(self, part="", method="GET", **options):
        path = f"/fanfold/api/dags/{DAG}/runs/{self.run_id}{part}"
        return self.stack.api(method, path, **options)

    def change(self, kind):
        self.page(f"/{kind}", "POST", json={"dry_run": False})

    def asks(self):
        """Wait for the question; return it.

        Airflow repeats it if the answer comes before its scheduler has seen that the task waits.
        """
        self.asked += 1
        seen = re.compile(rf"Finished: .*approval, run_id={self.run_id}, .*state=awaiting_input")
        log = self.stack.home.logs / "scheduler.log"
        deadline = time.monotonic() + 90
        while len(seen.findall(log.read_text("utf-8"))) < self.asked:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return self.stack.api("GET", f"{self.path}/-1/hitlDetails")

    def ends(self):
        return self.stack.wait(DAG, self.run_id, timeout=90)

    def status(self):
        """Return the verdict on the page, and the status of the published manifest."""
        published = Workspace.of_run(self.stack.home.shared, DAG, self.run_id).manifest
        return self.page()["verdict"], read_json(published)["status"]


def test_a_rejected_run_fails_and_may_be_redriven_or_published(stack, simulator):
    run = Run(stack, simulator, "rejected")
    question = run.asks()
    assert "3 of 10 items are failed or invalid" in question["body"].replace("\\", "")
    head = run.page()
    assert (head["verdict"], head["final"], head["tally"]["invalid"]) == ("approval", True, 3)
    assert (head["can_publish"], head["redrive"]["why_not"]) == (False, "approval")
    assert run.page("/failures")["groups"]
    for kind in ("redrive", "publish"):
        with pytest.raises(StackFailed, match="409"):
            run.change(kind)
    answer = {"chosen_options": ["Reject"], "params_input": {}}
    stack.api("PATCH", f"{run.path}/-1/hitlDetails", json=answer)
    assert run.ends() == "failed"
    head = run.page()
    assert (head["verdict"], head["failure"]["task_id"]) == ("failed", "approval")
    assert (head["can_publish"], head["redrive"]["possible"]) == (True, True)

    # They are as bad as before: it asks again, and nobody answers.
    run.change("redrive")
    assert run.asks()["responded_at"] is None
    with closing(sqlite3.connect(stack.home.airflow / "airflow.db", timeout=60)) as database:
        database.execute(
            "UPDATE task_instance SET trigger_timeout = '2020-01-01' WHERE state = 'awaiting_input'"
        )
        database.commit()
    assert run.ends() == "failed"
    tasks = {task["task_id"]: task["state"] for task in run.page()["tasks"]}
    assert (tasks["approval"], tasks["publish"]) == ("failed", "upstream_failed")

    # Raised to what the run has, the tolerance needs no question.
    run.change("publish")
    assert run.ends() == "success"
    assert run.status() == ("partial", "partial")


def test_a_run_is_published_when_a_user_follows_the_message_and_approves(
    stack, simulator, visitor, page, messages
):
    run = Run(stack, simulator, "approved")
    run.asks()
    title = f"Publish this run of {DAG} all the same?"
    (message,) = (each for each in messages if each["title"] == title)
    links = re.findall(rf"{stack.url}(/\S+)", message["message"])
    question = f"/dags/{DAG}/runs/approved/tasks/approval/required_actions"
    assert links == [question, f"/dags/{DAG}/runs/approved/plugin/fanfold-items"]
    visitor.log_in(links[0])
    page.get_by_role("button", name="Approve").wait_for()
    page.goto(f"{stack.url}{links[1]}")
    visitor.frame().get_by_role("link", name="Answer the question").click()
    page.get_by_text("3 of 10 items are failed or invalid").first.wait_for()
    page.get_by_role("button", name="Approve").click()
    assert run.ends() == "success"
    assert run.status() == ("partial", "partial")

    simulator.reset()
    run.change("redrive")
    assert run.ends() == "success"
    assert run.status() == ("complete", "complete")
