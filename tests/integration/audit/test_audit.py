"""scripts/audit reports known vulnerabilities of locked packages, and an unreachable database."""

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
    "summary": "Credentials are sent to other hosts.",
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
    """OSV's API with one advisory."""

    def do_POST(self):
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.queries.append((query["package"]["name"], query["version"]))
        bad = self.server.queries[-1] == ("requests", "2.19.0")
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
    server.queries = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def audit(url, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "audit"), *map(str, arguments)],
        env={**os.environ, "OSV_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_vulnerable_package_is_reported_with_the_fixed_version(osv, tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        f"requests==2.19.0 --hash=sha256:{HASH}\nidna==3.10 --hash=sha256:{HASH}\n", "ascii"
    )
    process = audit(f"http://127.0.0.1:{osv.server_port}/v1/query", lock)
    assert process.returncode == 1, process.stderr
    assert "requests 2.19.0: PYSEC-2018-28 (fixed in 2.20.0)" in process.stdout
    assert "idna" not in process.stdout


def test_an_unreachable_database_fails_unless_the_option_permits_it():
    process = audit("http://127.0.0.1:1/v1/query")
    assert process.returncode == 3
    assert "NOT AUDITED" in process.stderr
    process = audit("http://127.0.0.1:1/v1/query", "--where-reachable")
    assert process.returncode == 0
    assert "NOT AUDITED" in process.stderr
