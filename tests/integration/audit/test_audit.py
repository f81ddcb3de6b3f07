"""The scan of the locks finds what an advisory names, and says when it could not ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ADVISORY = {
    "id": "PYSEC-2018-28",
    "summary": "An old one.",
    "published": "2018-10-09T17:29:00Z",
    "modified": "2018-10-09T17:29:00Z",
    "affected": [
        {
            "package": {"name": "requests", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.20.0"}]}],
            "versions": ["2.19.0"],
        }
    ],
}
HASH = "0" * 64


class Advisories(BaseHTTPRequestHandler):
    """OSV's API, with one advisory."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((asked["package"]["name"], asked["version"]))
        bad = self.server.asked[-1] == ("requests", "2.19.0")
        body = json.dumps({"vulns": [ADVISORY]} if bad else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def osv():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def scan(url, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "audit"), *map(str, arguments)],
        env={**os.environ, "OSV_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_package_with_an_advisory_is_named_with_the_version_that_mends_it(osv, tmp_path):
    lock = tmp_path / "some.lock"
    lock.write_text(
        f"requests==2.19.0 --hash=sha256:{HASH}\nidna==3.10 --hash=sha256:{HASH}\n", "ascii"
    )
    ended = scan(f"http://127.0.0.1:{osv.server_port}/v1/query", lock)
    assert ended.returncode == 1, ended.stderr
    assert "requests 2.19.0: PYSEC-2018-28 (mended in 2.20.0)" in ended.stdout
    assert "idna" not in ended.stdout


def test_every_package_of_every_lock_is_asked_for(osv):
    ended = scan(f"http://127.0.0.1:{osv.server_port}/v1/query")
    assert ended.returncode == 0, ended.stderr
    names = {name for name, _ in osv.asked}
    assert {"apache-airflow-core", "celery", "apache-airflow-providers-fab", "moto"} <= names


def test_where_nobody_can_be_asked_it_says_so_and_does_not_pass():
    ended = scan("http://127.0.0.1:1/v1/query")
    assert ended.returncode == 3
    assert "NOT AUDITED" in ended.stderr
    ended = scan("http://127.0.0.1:1/v1/query", "--where-reachable")
    assert ended.returncode == 0
    assert "NOT AUDITED" in ended.stderr
