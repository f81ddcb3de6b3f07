"""Notices through a mail server with TLS and login, and through webhooks of Slack and Apprise."""

from __future__ import annotations

import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from fanfold.airflow.notifications import Notice, State, send_once

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
        (HOSTILE, f"refused: token {SECRET}"),
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


@pytest.fixture
def mailbox(certificate, monkeypatch, free_tcp_port):
    """The mails that a server with STARTTLS and a login has received; its connection is the channel."""
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
    controller = Controller(
        Handler(),
        hostname="127.0.0.1",
        port=free_tcp_port,
        tls_context=context,
        require_starttls=True,
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
        extra={"disable_ssl": True, "to": "team@example.com, lead@example.com"},
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
    assert "refused: token ***" in text
    assert "{{ conn.notify_default.password }} &lt;script&gt;" in text
    assert "请求" in text
    assert 'src="cid:sales.png"' in text
    assert picture["Content-ID"] == "<sales.png>"


def test_slack_gets_text_in_which_nothing_is_a_mention(webhook, notice, tmp_path, monkeypatch):
    url = f"http://127.0.0.1:{webhook.port}"
    connect(monkeypatch, conn_type="slackwebhook", host=url, password=SECRET)
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
