"""A Redis server, and a server that records when requests arrive."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

HERE = Path(__file__).parent


class RedisServer:
    """A Redis on loopback that requires a password and keeps nothing on disk."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.password = "s3cret/word"
        self.url = f"redis://:s3cret%2Fword@127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process = None

    def start(self):
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "save": "",
            "dir": str(self._folder),
            "requirepass": self.password,
        }
        self._process = subprocess.Popen(
            [
                # The shell kills the server when its stdin closes, also if the tests are killed.
                *("sh", "-c", '"$@" & read -r _; kill -KILL $!; wait $!', "sh", "redis-server"),
                *(word for key, value in settings.items() for word in (f"--{key}", value)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 30
        while True:
            try:
                self.run("PING")
            except redis.ConnectionError:
                if time.monotonic() > end:
                    pytest.fail("Redis did not start")
                time.sleep(0.02)
            else:
                return

    def stop(self):
        """Kill the server; its data is lost."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def run(self, *command):
        """Return the server's reply to a command."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            return client.execute_command(*command)


@pytest.fixture
def redis_server(tmp_path):
    """A Redis of this test, which may stop and start it."""
    if shutil.which("redis-server") is None:
        reason = "Redis is not installed: apt-get install redis-server"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    server = RedisServer(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Counted:
    """A server that records arrivals, and the clients that send requests to it."""

    def __init__(self, port, folder, stack):
        self.port = port
        self._folder = folder
        self._stack = stack

    def start_client(self, **options):
        """Start a process that sends requests, see client.py."""
        given = {"port": self.port, "folder": str(self._folder), **options}
        process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, str(HERE / "client.py"), json.dumps(given)],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._stack.callback(process.kill)
        return process

    def stamps(self):
        """Return when requests arrived since the last call, in seconds, by path."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/stamps")
            stamps = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return {path: sorted(stamp / 1e9 for stamp in each) for path, each in stamps.items()}


@contextmanager
def counting_server(folder):
    command = [sys.executable, str(HERE / "counting_server.py")]
    with (
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
        ExitStack() as stack,
    ):
        yield Counted(int(server.stdout.readline()), folder, stack)


@pytest.fixture
def counted(tmp_path):
    """A server that records arrivals, and starts clients."""
    with counting_server(tmp_path / "rate-limits") as server:
        yield server
