"""A run that exceeds its tolerance asks whether it is published, on Airflow's scheduler."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

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


class Run:
    """A run of which three of ten users break the contract."""

    def __init__(self, stack, simulator, run_id):
        self.stack, self.run_id = stack, run_id
        simulator.control(uids=dict.fromkeys(USERS[:3], "invalid"))
        stack.trigger(DAG, {"user_ids": USERS}, run_id=run_id)
        self.path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/approval"

    def page(self, part="", method="GET", **options):
        path = f"/fanfold/api/dags/{DAG}/runs/{self.run_id}{part}"
        return self.stack.api(method, path, **options)

    def change(self, kind):
        self.page(f"/{kind}", "POST", json={"dry_run": False})

    def asks(self):
        """Wait for the question; return it."""
        deadline = time.monotonic() + 90
        while self.stack.api("GET", self.path)["state"] != "awaiting_input":
            assert time.monotonic() < deadline
            assert self.stack.run_state(DAG, self.run_id) in {"queued", "running"}
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


def test_a_run_is_published_when_a_user_follows_the_link_and_approves(
    stack, simulator, visitor, page
):
    run = Run(stack, simulator, "approved")
    run.asks()
    visitor.log_in(f"/dags/{DAG}/runs/approved/plugin/fanfold-items")
    visitor.frame().get_by_role("link", name="Answer the question").click()
    page.get_by_text("3 of 10 items are failed or invalid").first.wait_for()
    page.get_by_role("button", name="Approve").click()
    assert run.ends() == "success"
    assert run.status() == ("partial", "partial")

    simulator.reset()
    run.change("redrive")
    assert run.ends() == "success"
    assert run.status() == ("complete", "complete")
