"""A Redis server, and a server that records when requests arrive."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

HERE = Path(__file__).parent


class RedisServer:
    """A Redis on loopback that requires a password and keeps nothing on disk."""

    def __init__(self, folder, port):
        self.port = port
        self.url = f"redis://:s3cret%2Fword@127.0.0.1:{port}/0"
        self._folder = folder
        self._process = None

    def start(self):
        self._process = subprocess.Popen(
            [
                # The shell kills the server when its stdin closes, also if the tests are killed.
                *("sh", "-c", '"$@" & read -r _; kill -KILL $!; wait $!', "sh", "redis-server"),
                *("--bind", "127.0.0.1", "--port", str(self.port), "--save", ""),
                *("--dir", str(self._folder), "--requirepass", "s3cret/word"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.run("PING", retry=Retry(ConstantBackoff(0.02), 1500))

    def stop(self):
        """Kill the server; its data is lost."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def run(self, *command, **options):
        """Return the server's reply to a command."""
        with redis.Redis.from_url(self.url, socket_timeout=5, **options) as client:
            return client.execute_command(*command)


@pytest.fixture
def redis_server(tmp_path, missing_tool):
    """A Redis of this test, which may stop and start it."""
    if shutil.which("redis-server") is None:
        missing_tool("Redis is not installed: apt-get install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        server = RedisServer(tmp_path, probe.getsockname()[1])
    server.start()
    yield server
    server.stop()


@dataclass
class Counted:
    """A server that records arrivals, and the clients that send requests to it."""

    port: int
    folder: Path
    stack: ExitStack

    def start_client(self, **options):
        """Start a process that sends requests, see client.py."""
        given = {"port": self.port, "folder": str(self.folder), **options}
        process = self.stack.enter_context(
            subprocess.Popen(
                [sys.executable, str(HERE / "client.py"), json.dumps(given)],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self.stack.callback(process.kill)
        return process

    def stamps(self):
        """Return when requests arrived since the last call, in seconds, by path."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", "/stamps")
            stamps = json.loads(connection.getresponse().read())
        return {path: sorted(stamp / 1e9 for stamp in each) for path, each in stamps.items()}


@pytest.fixture
def counted(tmp_path):
    """A server that records arrivals, and starts clients."""
    command = [sys.executable, str(HERE / "counting_server.py")]
    with (
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
        ExitStack() as stack,
    ):
        yield Counted(int(server.stdout.readline()), tmp_path / "rate-limits", stack)
