"""Connections with a deadline for the whole response.

A read timeout bounds each read, but a server that sends one byte a second never exceeds it. Neither
``requests`` nor ``urllib3`` bounds the whole response or the size of its head.
"""

from __future__ import annotations

import http.client
import io
import os
import sys
import time
from typing import TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

if TYPE_CHECKING:
    import socket

    from urllib3.connectionpool import HTTPConnectionPool

    from fanfold.sources.endpoint import Endpoint

_READ_TIMEOUTS = 3
"""Deadline of a whole response, as a multiple of the read timeout."""
_MAX_HEAD = 256 * 1024
"""Bytes."""


class DeadlineAdapter(HTTPAdapter):
    """Transport adapter of one endpoint."""

    def route(self, endpoint: Endpoint) -> tuple[HTTPConnectionPool, str]:
        """Return the connection pool of an endpoint, and the prefix of each request path.

        Proxies and certificate bundles are taken from the environment, as by ``requests.Session``.
        """
        template = requests.Request("GET", endpoint.url).prepare()
        proxies = get_environ_proxies(endpoint.url)
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        pool = cast(
            "HTTPConnectionPool",
            self.get_connection_with_tls_context(template, bundle, proxies=proxies),
        )
        self.cert_verify(pool, endpoint.url, bundle, None)  # type: ignore[no-untyped-call]
        kind: Any = pool.ConnectionCls
        response_class = _response_class(_READ_TIMEOUTS * endpoint.read_timeout)
        pool.ConnectionCls = type(kind.__name__, (kind,), {"response_class": response_class})
        # A proxy for plain HTTP needs the whole URL.
        is_proxied = self.request_url(template, proxies).startswith("http")
        return pool, endpoint.url if is_proxied else ""


def _response_class(seconds: float) -> type[http.client.HTTPResponse]:
    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            self._reader = _DeadlineReader(sock, seconds)
            super().__init__(self._reader, *args, **kwargs)  # type: ignore[arg-type]

        def begin(self) -> None:
            super().begin()
            self._reader.head_left = sys.maxsize
            # urllib3 would log malformed header lines together with the URL.
            if self.msg.defects:
                self.msg.defects = []
                self.msg.set_payload("")

    return Response


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until a deadline.

    Attributes:
        head_left: Bytes left for the head; a server may send ``100 Continue`` forever.
    """

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self.head_left = _MAX_HEAD
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = time.monotonic() + seconds

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TimeoutError("deadline of the response exceeded")
        if self.head_left < 0:
            raise http.client.HTTPException("response head too large")
        count = self._raw.readinto(buffer)
        self.head_left -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
