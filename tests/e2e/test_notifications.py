"""From the mail about a failed run to the complete run, on Airflow's scheduler."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from email import message_from_bytes, policy
from queue import Queue

import pytest
from aiosmtpd.controller import Controller

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"
ADDRESS = {"to": "team@example.com", "from_email": "airflow@example.com"}


@pytest.fixture
def mails(stack, free_tcp_port):
    """The mails of a server that the stack's connection ``notify_default`` leads to."""
    received = Queue()

    class Handler:
        async def handle_DATA(self, server, session, envelope):  # noqa: N802, ARG002
            received.put(message_from_bytes(envelope.content, policy=policy.default))
            return "250 OK"

    controller = Controller(Handler(), hostname="127.0.0.1", port=free_tcp_port)
    controller.start()
    connection = {
        "connection_id": "notify_default",
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": free_tcp_port,
        "extra": json.dumps({**ADDRESS, "disable_ssl": True, "disable_tls": True}),
    }
    stack.api("POST", "/api/v2/connections", json=connection)
    yield received
    stack.api("DELETE", "/api/v2/connections/notify_default")
    controller.stop()


def passed_deadline(stack, run_id):
    """Let the deadline of a run be in the past."""
    with (
        closing(sqlite3.connect(stack.home.airflow / "airflow.db", timeout=30)) as database,
        database,
    ):
        (changed,) = database.execute(
            "UPDATE deadline SET deadline_time = '2026-01-02 06:00:00.000000' WHERE dagrun_id ="
            " (SELECT id FROM dag_run WHERE run_id = ?) RETURNING missed",
            [run_id],
        ).fetchall()
    assert changed == (0,)


def test_the_mail_about_a_failed_run_leads_to_the_complete_run(
    stack, simulator, runs, mails, visitor
):
    users = [*runs.users[100:120], *runs.broken]
    simulator.control(uids=dict.fromkeys(runs.broken, "invalid"))
    conf = {"items_uri": runs.listed(users), "tolerated_failure_percentage": 10, "batch_size": 25}
    stack.wait_for_dag(DAG)
    # A deadline counts from the logical date.
    run = {"logical_date": datetime.now(UTC).isoformat(), "conf": conf}
    run_id = stack.api("POST", f"/api/v2/dags/{DAG}/dagRuns", json=run)["dag_run_id"]
    failed = mails.get(timeout=120)
    assert "failed" in failed["Subject"]
    text = html_of(failed)
    assert "5 of 25 items are failed or invalid" in text
    assert "20 of 25 ok" in text

    passed_deadline(stack, run_id)
    late = mails.get(timeout=60)
    assert "late" in late["Subject"]
    assert "Not complete by 2026-01-02 06:00 UTC: the run is failed." in html_of(late)

    simulator.reset()
    link = re.search(r'href="([^"]*#failures)"', text)[1]
    visitor.log_in(link.removeprefix(stack.url))
    frame = visitor.frame()
    frame.get_by_role("button", name="Redrive all failed").first.click()
    frame.get_by_role("dialog").get_by_role("button", name="Redrive", exact=True).click()
    complete = mails.get(timeout=120)
    assert "complete" in complete["Subject"]
    assert "25 of 25 ok" in html_of(complete)
    assert mails.empty(), "more than one mail about a state of the run"


def html_of(mail):
    return next(mail.iter_parts()).get_content()
