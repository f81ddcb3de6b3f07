"""Outages of real servers, under a clock that the test moves."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from fanfold.errors import FanfoldError

ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code}</Message>'
    "<RequestId>0</RequestId></Error>"
)
"""Source: "Error responses", Amazon S3 API Reference."""
STATUS = {"SlowDown": 503, "InternalError": 500, "ServiceUnavailable": 503, "AccessDenied": 403}
BODIES = {"cut": lambda data: data[: len(data) // 2], "damage": lambda data: data[::-1]}
"""What arrives of the body of a response."""


class Clock:
    """Seconds that pass when the code under test sleeps."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def sleep(self, seconds):
        self.now += seconds
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch):
    """A clock that boto's sleeps advance instead of taking time."""
    import botocore.endpoint

    made = Clock()
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=made.sleep))
    return made


class Front:
    """A proxy before an S3 server that plays an outage.

    Attributes:
        fault: An error code of S3, ``hang``, ``drop``, a key of BODIES, or None.
        ill: Whether the request with this number meets the fault.
        asked: Requests so far.
    """

    def __init__(self, upstream):
        self.upstream = urlsplit(upstream)
        self.fault = None
        self.ill = lambda _: True
        self.asked = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._connections = set()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self})
        )
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self._thread.start()

    def stop(self):
        """Stop the proxy, and close the connections that are open."""
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._lock:
            for connection in self._connections:
                connection.close()

    def judge(self):
        """Count a request, and return the fault that it meets, or None."""
        with self._lock:
            self.asked += 1
            return self.fault if self.fault and self.ill(self.asked) else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.owner._connections.add(self.connection)

    def finish(self):
        self.owner._connections.discard(self.connection)
        super().finish()

    def log_message(self, *_):
        pass

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.owner.judge()
        if fault == "hang":
            self.owner._over.wait()
        if fault in {"hang", "drop"}:
            self.close_connection = True
        elif fault in STATUS:
            self._answer(STATUS[fault], {}, ERROR.format(code=fault).encode())
        else:
            self._pass_on(body, BODIES.get(fault, lambda data: data))
            self.close_connection |= fault == "cut"

    def _pass_on(self, body, arriving):
        upstream = self.owner.upstream
        with closing(http.client.HTTPConnection(upstream.hostname, upstream.port)) as connection:
            headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        kept = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in {"connection", "transfer-encoding", "server", "date"}
        }
        self._answer(answer.status, kept, arriving(data))

    def _answer(self, status, headers, data):
        if "content-length" not in {name.lower() for name in headers}:
            headers = {**headers, "Content-Length": str(len(data))}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve  # noqa: N815


@pytest.fixture
def front(s3_server):
    """A proxy before the S3 server; it forwards everything until a fault is set."""
    made = Front(s3_server.url)
    yield made
    made.stop()


@pytest.fixture
def through_front(front, s3_server, airflow_home, monkeypatch):
    """Connections whose object storage lies behind ``front``; return the module of connections."""
    assert airflow_home.is_dir()
    from fanfold.airflow import connections

    extra = {"endpoint_url": front.url, "region_name": "us-east-1"}
    keys = {"login": s3_server.access_key, "password": s3_server.secret_key}
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", **keys, "extra": extra})
    )
    return connections


@pytest.fixture
def retried(clock, airflow_home):
    """Return a function that runs a task with its retries, as Airflow would.

    It returns the task's result and the errors before it; ``between`` is called with each error,
    after its delay.
    """
    assert airflow_home.is_dir()
    from fanfold.airflow.policies import TASKS

    def run(task, *, between=lambda _: None):
        errors = []
        while True:
            try:
                return task(), errors
            except FanfoldError as error:
                errors.append(error)
                decision = TASKS["retry_policy"].evaluate(error, len(errors), TASKS["retries"])
                if decision.action.value != "retry" or len(errors) > TASKS["retries"]:
                    raise
                clock.sleep(decision.retry_delay.total_seconds())
                between(error)

    return run
