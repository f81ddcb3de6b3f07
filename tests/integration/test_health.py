"""The health check of containers asks a real server."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fanfold import health

TOLD = b'{"triggerer": {"status": "healthy"}, "dag_processor": {"status": "unhealthy"}}'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/ill" else 200)
        self.end_headers()
        self.wfile.write(TOLD)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_answers_is_healthy(url):
    assert health.main([f"{url}/"]) == 0
    assert health.main([f"{url}/", "triggerer"]) == 0


@pytest.mark.parametrize(
    ("path", "component", "said"),
    [
        ("/ill", None, "503"),
        ("/", "dag_processor", "dag_processor is unhealthy"),
        ("/", "scheduler", "says nothing of scheduler"),
    ],
)
def test_an_unhealthy_component_is_named(url, capsys, path, component, said):
    assert health.main([url + path, *([component] if component else [])]) == 1
    assert said in capsys.readouterr().err


def test_an_unreachable_server_is_unhealthy():
    assert health.main(["http://127.0.0.1:1/"]) == 1
