"""One simulator a file, and a client for it."""

import http.client
import json
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from fanfold.simulator.process import running


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """One keep-alive connection and, where bytes matter, plain sockets."""

    port: int
    token: str

    def __post_init__(self):
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def send(self, path, method="GET", headers=None, body=None):
        self._connection.request(method, path, body, headers or {})
        response = self._connection.getresponse()
        body = response.read()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, body)

    def weibo(self, path="users/show", **query):
        query = {"access_token": self.token, **query}
        return self.send(f"/2/{path}.json?{urlencode(query)}")

    def show(self, uid):
        return self.weibo(uid=uid)

    def show_several(self, count):
        """Answers for ``count`` users in a row."""
        return [self.show(str(1_404_376_560 + number)) for number in range(count)]

    def lookup(self, acct, **headers):
        return self.send(f"/api/v1/accounts/lookup?{urlencode({'acct': acct})}", headers=headers)

    def request(self, uid):
        """The bytes of a request for a user."""
        path = f"/2/users/show.json?access_token={self.token}&uid={uid}"
        return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    @contextmanager
    def socket(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain:
            yield plain

    def close(self):
        self._connection.close()


@pytest.fixture(scope="module")
def module_simulator():
    with running() as simulator:
        yield simulator


@pytest.fixture
def simulator(module_simulator):
    module_simulator.reset()
    return module_simulator


@pytest.fixture
def client(simulator):
    client = Client(int(simulator.url.rpartition(":")[2]), simulator.token)
    yield client
    client.close()
