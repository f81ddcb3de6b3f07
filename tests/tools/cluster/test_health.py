"""The health check of containers, against a real server."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fanfold.cluster import health

BODY = b'{"triggerer": {"status": "healthy"}, "dag_processor": {"status": "unhealthy"}}'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/503" else 200)
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def url():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "component", "problem"),
    [
        ("/", None, None),
        ("/", "triggerer", None),
        ("/503", None, "503"),
        ("/", "dag_processor", "dag_processor is unhealthy"),
        ("/", "scheduler", "does not report scheduler"),
    ],
)
def test_the_answer_is_checked(url, path, component, problem):
    found = health.problem(url + path, component)
    assert found is problem is None or problem in found


def test_a_server_that_does_not_answer_is_unhealthy():
    assert "refused" in health.problem("http://127.0.0.1:1/")
