"""Preflight tells all that is wrong, whatever fails in a check."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from threading import Thread

import pytest

from fanfold.errors import BadConfiguration, BadPipeline, ItemRefused, SinkUnavailable

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def said(airflow_home, monkeypatch):
    """``said(connection, **environment)``: what preflight says of a source; all other checks fail, too."""
    from fanfold.airflow import checks

    def refuse():
        raise BadConfiguration("create it")

    def fail(*_):
        raise ValueError("Invalid header value b'Bearer s3cret\\n'")

    assert airflow_home.is_dir()
    for name, check in (
        ("check_bucket", refuse),
        ("_check_database", fail),
        ("check_workspace", fail),
    ):
        monkeypatch.setattr(checks, name, check)
    monkeypatch.setattr(checks, "_check_run", lambda _: None)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)

    def said(connection, **environment):
        monkeypatch.setenv("AIRFLOW_CONN_WEIBO_DEFAULT", json.dumps(connection))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(BadConfiguration) as caught:
            checks.check_all("weibo_user_profiles")
        return str(caught.value)

    return said


@pytest.mark.parametrize(
    ("fields", "environment", "expected"),
    [
        ({"host": "https://x.example"}, {"ALL_PROXY": "socks5://proxy:1"}, "ALL_PROXY cannot be"),
        ({"host": "https://x.example"}, {"SSL_CERT_FILE": "/gone.pem"}, "SSL_CERT_FILE=/gone.pem"),
        ({"host": "https://[::1"}, {}, "Connection 'weibo_default': host must be"),
        ({"host": "x.example", "port": "s3cret"}, {}, "AIRFLOW_CONN_WEIBO_DEFAULT is neither"),
        ({"host": "x.example", "extra": "s3cret"}, {}, "extra is not a JSON object"),
        ({"host": "x.example", "extra": [1]}, {}, "extra is not a JSON object"),
        ({"host": "x.example", "password": "s3\ncret"}, {}, "the password contains a line break"),
    ],
)
def test_a_wrong_source_hides_no_other_check(said, fields, environment, expected):
    """Nor does an exception that no check expects, whose text may have a header."""
    text = said({"conn_type": "http", **fields}, **environment)
    assert "4 of 5 preflight checks failed" in text
    assert expected in text
    assert "object storage: create it" in text
    for name in ("database", "workspace"):
        assert f"{name}: unexpected ValueError at checks.py:" in text
    assert "cret" not in text


def test_a_broken_variable_does_not_lead_to_the_connection_of_the_database(said, monkeypatch):
    """As Airflow does, without a word."""
    from airflow.sdk import Connection

    row = Connection(conn_id="weibo_default", conn_type="http", host="http://127.0.0.1:1")
    monkeypatch.setattr(Connection, "get", lambda _: row)
    text = said({"conn_type": "http", "host": "x.example", "port": "s3cret"})
    assert "AIRFLOW_CONN_WEIBO_DEFAULT is neither" in text
    assert "127.0.0.1" not in text


def test_a_check_that_the_source_refuses_is_not_retried(airflow_home, monkeypatch):
    from fanfold.airflow import checks

    def refuse(_):
        raise ItemRefused("Weibo 10008: invalid request")

    assert airflow_home.is_dir()
    connection = {"conn_type": "http", "host": "http://x.example"}
    monkeypatch.setenv("AIRFLOW_CONN_WEIBO_DEFAULT", json.dumps(connection))
    monkeypatch.setattr(checks, "check_source", refuse)
    for name in ("bucket", "workspace"):
        monkeypatch.setattr(checks, f"check_{name}", lambda: None)
    for name in ("database", "run"):
        monkeypatch.setattr(checks, f"_check_{name}", lambda _: None)
    with pytest.raises(BadConfiguration, match="Weibo 10008"):
        checks.check_all("weibo_user_profiles")


@pytest.mark.parametrize("extra", [{"cursor": "nope"}, {"cursor": 5}, {"iam": "false"}])
def test_an_extra_that_the_provider_of_a_database_rejects_is_a_configuration_error(
    airflow_home, monkeypatch, extra
):
    from fanfold.airflow.connections import warehouse

    assert airflow_home.is_dir()
    fields = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", json.dumps(fields))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(BadConfiguration, match="'warehouse_default': its extra"), warehouse():
        pytest.fail("it was opened")


def test_an_unexpected_error_alone_is_retried(airflow_home, monkeypatch):
    from fanfold.airflow import checks

    assert airflow_home.is_dir()

    def fail(*_):
        raise OSError("no route")

    for name in ("_check_pipeline", "check_bucket", "_check_database"):
        monkeypatch.setattr(checks, name, fail)
    monkeypatch.setattr(checks, "check_workspace", lambda: None)
    monkeypatch.setattr(checks, "_check_run", lambda _: None)
    with pytest.raises(SinkUnavailable, match="3 of 5 preflight checks failed"):
        checks.check_all("weibo_user_profiles")


def test_a_server_that_does_not_speak_tls_is_a_wrong_connection(said, monkeypatch):
    """No retry mends it."""
    from fanfold.airflow import checks

    for name in ("check_bucket", "_check_database", "check_workspace"):
        monkeypatch.setattr(checks, name, lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = Thread(target=answer)
        thread.start()
        host = f"https://127.0.0.1:{listening.getsockname()[1]}"
        text = said({"conn_type": "http", "host": host, "password": "s3cret\n"})
        thread.join()
    assert f"connection 'weibo_default', {host}: " in text
    assert "the server does not speak TLS here" in text
    assert "s3cret" not in text


@pytest.mark.parametrize("field", ["login", "password", "aws_session_token"])
def test_credentials_of_aws_are_stripped_and_control_characters_refused(
    airflow_home, monkeypatch, field
):
    """boto's errors have the headers in which they are sent."""
    from fanfold.airflow import connections

    assert airflow_home.is_dir()

    def connect(value):
        keys = {"login": "id", "password": "key", "aws_session_token": "token", field: value}
        extra = {"region_name": "us-east-1", "aws_session_token": keys.pop("aws_session_token")}
        connection = {"conn_type": "aws", "extra": extra, **keys}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))

    def clients():
        yield connections._s3_client("aws_default")
        yield connections._lambda_client("aws_default", {})

    connect("s3cret\r\n")
    for client in clients():
        with closing(client):
            found = client._request_signer._credentials.get_frozen_credentials()
            assert "s3cret" in {found.access_key, found.secret_key, found.token}
    connect("pass\nphrase")
    for client in (connections._s3_client, lambda name: connections._lambda_client(name, {})):
        with pytest.raises(BadConfiguration, match=r"'aws_default': the .* line break") as caught:
            client("aws_default")
        assert "phrase" not in str(caught.value)


def test_consolidate_must_wait_for_each_task_of_a_batch(airflow_home, monkeypatch):
    """A DAG file of an earlier version: `consolidate` comes after the group of tasks, that is, `process`."""
    assert airflow_home.is_dir()
    from airflow.sdk import DAG

    from fanfold.airflow import checks, tasks

    def wired(batches_of, after=lambda folded: folded):
        with DAG("a_dag", schedule=None) as dag:
            planned = tasks.plan("weibo_user_profiles")
            folded = tasks.consolidate("weibo_user_profiles")
            batches_of(planned) >> folded
            after(folded)
        monkeypatch.setattr(checks, "get_current_context", lambda: {"dag": dag})
        checks.check_wiring()

    def batches(planned):
        return tasks.batches("weibo_user_profiles", planned)

    wired(batches)
    wired(batches, lambda folded: folded >> tasks.approval() >> tasks.report("weibo_user_profiles"))
    with pytest.raises(BadPipeline, match="followed by approval, report, and"):
        wired(
            batches,
            lambda folded: folded >> [tasks.approval(), tasks.report("weibo_user_profiles")],
        )
    with pytest.raises(BadPipeline, match="followed by no task, and"):
        wired(batches, lambda _: tasks.approval())
    with pytest.raises(
        BadPipeline, match=r"does not wait for batch.fetch, plan\. Write `batches = "
    ):
        wired(
            lambda planned: tasks.batch.partial(pipeline="weibo_user_profiles").expand(ref=planned)
        )
