"""Notices through a mail server with TLS and login, and through webhooks of Slack and Apprise."""

from __future__ import annotations

import asyncio
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from types import SimpleNamespace

import pytest

from fanfold.airflow.notifications import Notice, State, send_once
from fanfold.errors import QuotaSpent
from fanfold.messages import Message
from fanfold.model import (
    Basis,
    BatchRef,
    Counts,
    Forecast,
    Manifest,
    Outcome,
    Plan,
    RunStatus,
    Status,
)
from fanfold.workspace.errors import TaskError, write_error
from fanfold.workspace.failure_groups import FailureGroups, write_groups
from fanfold.workspace.files import read_json, write_json
from fanfold.workspace.history import remember
from fanfold.workspace.paths import Workspace

# Airflow and its providers warn about themselves.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("airflow_home")]

SECRET = "geheim-4711-token"
HOSTILE = "{{ conn.notify_default.password }} <script>alert(1)</script> <!channel> & more"


@pytest.fixture
def notice(tmp_path):
    picture = tmp_path / "sales.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    return Notice(
        State.PARTIAL,
        "Sales: partial\nBcc: all@example.com",
        (HOSTILE, f"refused: {SECRET}"),
        (("Items", "7 of 10"), ("请求", "12")),
        (("Run", f"https://airflow.example.com/dags/sales?a=1&b={SECRET}"),),
        (picture,),
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 with its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(params=["starttls", "tls"])
def mailbox(request, certificate, monkeypatch, free_tcp_port):
    """The mails that a server with TLS and a login has received; its connection is the channel."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    received = []

    class Handler:
        async def handle_DATA(self, server, session, envelope):  # noqa: N802, ARG002
            received.append((envelope, message_from_bytes(envelope.content, policy=policy.default)))
            return "250 OK"

    def logged_in(server, session, envelope, mechanism, data):  # noqa: ARG001
        return AuthResult(
            success=(data.login, data.password) == (b"robot@example.com", SECRET.encode())
        )

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    if request.param == "tls":
        server, client = {"ssl_context": context, "auth_require_tls": False}, {"disable_tls": True}
    else:
        server = {"tls_context": context, "require_starttls": True}
        client = {"disable_ssl": True}
    controller = Controller(
        Handler(),
        hostname="127.0.0.1",
        port=free_tcp_port,
        **server,
        authenticator=logged_in,
        auth_required=True,
    )
    controller.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    connect(
        monkeypatch,
        conn_type="smtp",
        host="localhost",
        port=free_tcp_port,
        login="robot@example.com",
        password=SECRET,
        extra={**client, "to": "team@example.com, lead@example.com"},
    )
    yield received
    controller.stop()


def connect(monkeypatch, **fields):
    monkeypatch.setenv("AIRFLOW_CONN_NOTIFY_DEFAULT", json.dumps(fields))


def test_a_mail_goes_to_all_receivers_once_without_secrets_templates_and_markup(
    mailbox, notice, tmp_path
):
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: send_once(notice, tmp_path / "a" / "partial"), range(4)))
    assert sorted(sent) == [False, False, False, True]
    ((envelope, mail),) = mailbox
    assert envelope.rcpt_tos == ["team@example.com", "lead@example.com"]
    assert envelope.mail_from == "robot@example.com"
    assert (mail["Subject"], mail["Bcc"]) == ("Sales: partial Bcc: all@example.com", None)
    page, picture = mail.iter_parts()
    text = page.get_content()
    assert SECRET not in text
    assert "refused: ***" in text
    assert "{{ conn.notify_default.password }} &lt;script&gt;" in text
    assert "请求" in text
    assert 'src="cid:sales.png"' in text
    assert picture["Content-ID"] == "<sales.png>"


def test_slack_gets_text_in_which_nothing_is_a_mention(webhook, notice, tmp_path, monkeypatch):
    url = f"http://127.0.0.1:{webhook.port}"
    slack = {"conn_type": "slackwebhook", "host": url, "password": SECRET}
    connect(monkeypatch, **slack, extra={"states": ["failed", "late"]})
    assert not send_once(notice, tmp_path / "partial")
    connect(monkeypatch, **slack, extra={"states": ["failed", "partial"]})
    assert send_once(notice, tmp_path / "partial")
    (body,) = webhook.received
    assert "&lt;!channel&gt; &amp; more" in body["text"]
    assert "<https://airflow.example.com/dags/sales?a=1&amp;b=***|Run>" in body["text"]


def test_apprise_gets_text_and_pictures(webhook, notice, tmp_path, monkeypatch):
    config = {"path": f"json://127.0.0.1:{webhook.port}/"}
    connect(monkeypatch, conn_type="apprise", password=SECRET, extra={"config": config})
    assert send_once(notice, tmp_path / "partial")
    (body,) = webhook.received
    assert body["type"] == "warning"
    assert "{{ conn.notify_default.password }} <script>" in body["message"]
    assert [each["filename"] for each in body["attachments"]] == ["sales.png"]


@pytest.mark.parametrize("kind", ["smtp", "slackwebhook", "apprise", "http"])
def test_a_notifier_that_is_down_is_a_warning_without_secrets(
    kind, webhook, notice, tmp_path, monkeypatch, caplog
):
    webhook.status = 503
    url = f"//127.0.0.1:{webhook.port}/"
    connect(
        monkeypatch,
        conn_type=kind,
        host="127.0.0.1" if kind == "smtp" else f"http:{url}",
        port=1,
        password=SECRET,
        extra={"to": "team@example.com", "config": {"path": f"json:{url}"}},
    )
    marker = tmp_path / "partial"
    assert not send_once(notice, marker)
    assert "Check the connection" in caplog.text
    assert SECRET not in caplog.text
    assert not marker.exists()


def test_without_a_connection_nothing_is_sent_and_nothing_is_created(notice, tmp_path, caplog):
    assert not send_once(notice, tmp_path / "notices" / "partial")
    assert not (tmp_path / "notices").exists()
    assert "was not sent" not in caplog.text


def manifest(day, counts, **fields):
    start, end = (f"2026-11-{day}T01:{minute}:00.000Z" for minute in ("00", "05"))
    run = f"scheduled__2026-11-{day}"
    return Manifest("sales", run, start, RunStatus.PARTIAL, counts, (), 12, start, end, **fields)


@pytest.fixture
def merged(tmp_path):
    """The workspace of a run in mode merge, the second of its DAG, in which 6 of 10 files failed."""
    workspace = Workspace.of_run(tmp_path, "sales", "scheduled__2026-11-28")
    remember(workspace.history, manifest(27, Counts(8, 8), rows=1000), passed=True)
    now = manifest(
        28, Counts(10, 4, 1, 1, 4), mode="merge", rows=1234, run_rows=300, superseded=66,
        pending=5, gb_seconds=81.25,
    )  # fmt: skip
    write_json(workspace.manifest, now.as_json())
    forecast = Forecast(10, None, Basis.UNKNOWN)
    plan = Plan("sales", 10, 0, (0,), now.logical_date, now.started_at, forecast)
    write_json(workspace.plan, plan.as_json())
    reasons = ["refused"] * 3 + ["HTTP 503", "no such file", "too large"]
    groups = FailureGroups()
    for place, reason in enumerate(reasons):
        groups.add(Outcome(f"key-{place}", Status.FAILED, reason))
    write_groups(workspace.failures, groups.groups(), [])
    write_json(workspace.load, {"warnings": [{"text": "3 of 300 rows were not written."}]})
    (workspace.report / "report.html").parent.mkdir()
    (workspace.report / "report.html").touch()
    (workspace.report / "chart-1-sales.png").touch()
    return workspace


def test_the_notice_about_a_run_has_numbers_reasons_changes_and_links(merged, monkeypatch):
    from fanfold.airflow.notifications.summary import run_notice

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/team/")
    date = datetime(2026, 11, 28, 1, tzinfo=UTC)
    run = ("sales", "scheduled__2026-11-28")
    notice = run_notice(merged, *run, State.PARTIAL, date=date, seconds=303)
    assert notice.title == "sales: partial · 2026-11-28 01:00 UTC"
    assert notice.paragraphs == (
        "3 × failed: refused",
        "1 × failed: HTTP 503",
        "1 × failed: no such file",
        "1 × other reasons",
        "3 of 300 rows were not written.",
    )
    assert dict(notice.facts) == {
        "Run": "scheduled__2026-11-28",
        "Items": "4 of 10 ok, 4 failed, 1 invalid, 1 missing",
        "Rows": "1,234",
        "Merged": "300 of this run, 66 superseded",
        "Pending": "5 failed or invalid in this or an earlier run",
        "Since 2026-11-27": "+234 rows, +2 items",
        "Requests": "12",
        "Cost of functions": "81.2 GB-s",
        "Duration": "5 min 3 s",
    }
    page = "https://airflow.example.com/team/dags/sales/runs/scheduled__2026-11-28/plugin/fanfold-items"
    links = {"Run": page, "Report": f"{page}#report", "Failures and Redrive": f"{page}#failures"}
    assert dict(notice.links) == links
    assert [path.name for path in notice.pictures] == ["chart-1-sales.png"]


def test_a_damaged_workspace_and_a_disk_without_space_are_told_all_the_same(
    webhook, merged, tmp_path, monkeypatch
):
    from fanfold.airflow.notifications.summary import run_notice

    merged.manifest.write_text("{")
    url = f"http://127.0.0.1:{webhook.port}"
    connect(monkeypatch, conn_type="slackwebhook", host=url, password="x")
    why = ["consolidate failed: the disk is full"]
    notice = run_notice(merged, "sales", "a", State.FAILED, sentences=why)
    (tmp_path / "file").touch()
    assert send_once(notice, tmp_path / "file" / "notices" / "failed")
    (body,) = webhook.received
    assert "the disk is full\nIts numbers are incomplete: " in body["text"]
    assert "manifest.json is not JSON" in body["text"]


def test_a_run_that_failed_before_its_plan_says_why(tmp_path):
    from fanfold.airflow.notifications.summary import run_notice

    workspace = Workspace.of_run(tmp_path, "sales", "manual")
    notice = run_notice(
        workspace, "sales", "manual", State.FAILED, sentences=["preflight failed: x"]
    )
    assert notice.paragraphs == ("preflight failed: x",)
    assert [text for text, _ in notice.links] == ["Run", "Failures and Redrive"]


@pytest.mark.parametrize(("minutes", "sent"), [(2, 0), (60, 1)])
def test_of_all_batches_that_wait_long_for_a_quota_one_tells_people(
    minutes, sent, webhook, tmp_path, monkeypatch
):
    from airflow.sdk import DAG
    from airflow.sdk.exceptions import TaskDeferred

    from fanfold.airflow.fetch import Fetch

    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(tmp_path))
    connect(
        monkeypatch, conn_type="slackwebhook", host=f"http://127.0.0.1:{webhook.port}", password="x"
    )
    context = {"dag_run": SimpleNamespace(dag_id="sales", run_id="manual")}
    spent = QuotaSpent(
        "/users: quota spent", reset_at=datetime.now(UTC) + timedelta(minutes=minutes)
    )
    for number in range(3):
        fetch = Fetch(task_id="fetch", pipeline="sales", batch={}, dag=DAG("sales", schedule=None))
        with pytest.raises(TaskDeferred):
            fetch._wait(BatchRef(number, 4, "items"), spent, None, context)
    assert len(webhook.received) == sent
    assert all(
        "/users: quota spent. The run continues at 20" in each["text"] for each in webhook.received
    )


def test_a_failed_run_says_why_without_the_token_of_its_source(
    webhook, merged, tmp_path, monkeypatch
):
    """The process that sends the notice has not read the connection of the source before."""
    from fanfold.airflow.notifications.callbacks import on_failure

    token = "6f1d-a-token-of-the-source"
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_WEIBO_DEFAULT", f"http://:{token}@127.0.0.1/")
    connect(
        monkeypatch, conn_type="slackwebhook", host=f"http://127.0.0.1:{webhook.port}", password="x"
    )
    plan = read_json(merged.plan)
    write_json(merged.plan, {**plan, "pipeline": "weibo_user_profiles"})
    why = Message(f"HTTP 401 for {token}")
    write_error(merged, TaskError("load", -1, 2, "2026-11-28T01:05:00.000Z", why))
    log = "https://airflow.example.com/log"
    instance = SimpleNamespace(task_id="load", map_index=-1, try_number=2, log_url=log)
    dag = SimpleNamespace(dag_id="sales")
    on_failure({"dag": dag, "run_id": "scheduled__2026-11-28", "ti": instance})
    (body,) = webhook.received
    assert "load failed: HTTP 401 for ***" in body["text"]
    assert f"<{log}|Log of load>" in body["text"]
    assert "4 of 10 ok" in body["text"]


@pytest.mark.parametrize(
    ("state", "run_type", "sent"),
    [("running", "scheduled", 1), ("success", "scheduled", 0), ("running", "backfill", 0)],
)
def test_only_a_run_that_is_not_complete_is_late(
    state, run_type, sent, webhook, tmp_path, monkeypatch
):
    from fanfold.airflow.notifications.callbacks import late

    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(tmp_path))
    connect(
        monkeypatch, conn_type="slackwebhook", host=f"http://127.0.0.1:{webhook.port}", password="x"
    )
    run = {"dag_id": "sales", "dag_run_id": "a", "state": state, "run_type": run_type}
    run |= {"logical_date": None, "run_after": "2026-11-27T11:00:00Z"}
    deadline = {"deadline_time": "2026-11-27T22:00:00+00:00"}
    asyncio.run(late({"dag_run": run, "deadline": deadline}))
    assert len(webhook.received) == sent
    assert all("Not complete by 2026-11-27 22:00 UTC" in each["text"] for each in webhook.received)


@pytest.mark.parametrize(("hour", "start", "hours"), [(6, 19, 11), (23, 19, 4), (6, 6, 24)])
def test_a_deadline_is_the_first_such_hour_after_the_start(hour, start, hours):
    from fanfold.airflow.policies import complete_by

    assert complete_by(hour, start=start)["deadline"].interval == timedelta(hours=hours)
