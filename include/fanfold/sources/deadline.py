"""Connections with a deadline for the whole response.

A read timeout bounds each read, but a server that sends one byte a second never exceeds it. Neither
``requests`` nor ``urllib3`` bounds the whole response or the size of its head.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy

from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    import socket

    from urllib3.connectionpool import HTTPConnectionPool

    from fanfold.sources.endpoint import Endpoint

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_READ_TIMEOUTS = 3
"""Deadline of a whole response, as a multiple of the read timeout."""
_MAX_HEAD = 256 * 1024
"""Bytes."""


class DeadlineAdapter(HTTPAdapter):
    """Transport adapter of one endpoint."""

    def route(self, endpoint: Endpoint) -> tuple[HTTPConnectionPool, str]:
        """Return the connection pool of an endpoint, and the prefix of each request path.

        Proxies and certificate bundles are taken from the environment, as by ``requests.Session``, or
        as by OpenSSL.

        Raises:
            BadConfiguration: A variable of the environment is wrong.
        """
        template = requests.Request("GET", endpoint.url).prepare()
        proxies = get_environ_proxies(endpoint.url)
        bundle = _ca_bundle() if endpoint.url.startswith("https") else None
        found = None
        with contextlib.suppress(requests.RequestException, urllib3.exceptions.HTTPError):
            found = self.get_connection_with_tls_context(template, bundle or True, proxies=proxies)
        pool = cast("HTTPConnectionPool | None", found)
        if pool is None:
            # Not chained: the proxy's address may contain a password.
            raise _proxy_error(endpoint.url, proxies)
        self.cert_verify(pool, endpoint.url, bundle or True, None)  # type: ignore[no-untyped-call]
        kind: Any = pool.ConnectionCls
        response_class = _response_class(_READ_TIMEOUTS * endpoint.read_timeout)
        pool.ConnectionCls = type(kind.__name__, (kind,), {"response_class": response_class})
        # A proxy for plain HTTP needs the whole URL.
        is_proxied = self.request_url(template, proxies).startswith("http")
        return pool, endpoint.url if is_proxied else urlsplit(endpoint.url).path


def _proxy_error(url: str, proxies: dict[str, str]) -> BadConfiguration:
    proxy = select_proxy(url, proxies) or ""
    names = [
        name
        for name, value in os.environ.items()
        if value == proxy and name.lower().endswith("_proxy")
    ]
    is_socks = proxy.startswith("socks")
    reason = "SOCKS needs the Python package PySocks" if is_socks else "it is malformed"
    return BadConfiguration(
        f"{' and '.join(names) or 'The proxy of the environment'} cannot be used: {reason}. Set it to "
        f"http://host:port, or add {urlsplit(url).hostname} to NO_PROXY."
    )


def _ca_bundle() -> str | None:
    """Return the file or folder of trusted certificates that the environment names, or None.

    Raises:
        BadConfiguration: It cannot be read.
    """
    name = next(filter(os.environ.get, _CA_VARIABLES), None)
    if name is None:
        return None
    path = os.environ[name]
    try:
        if not Path(path).is_dir():
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        reason = "it is not a PEM file" if isinstance(error, ssl.SSLError) else error.strerror
        raise BadConfiguration(
            f"{name}={path}: the trusted certificates cannot be read: {reason}. Set it to a file of "
            "certificates (PEM), or unset it."
        ) from None
    return path


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
