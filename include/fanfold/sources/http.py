"""HTTP client of all sources: timeouts, size limits, strict JSON, no secret in an error.

``requests`` resolves proxy, certificates and connection pool once per endpoint; requests then go to
the pool directly. What ``Session.send`` adds (cookies, hooks, redirects, environment look-ups) is
not needed and costs as much as the request itself: docs/decisions/0008.
"""

from __future__ import annotations

import http.client
import json
import logging
import ssl
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import urllib3
from urllib3.util import Retry, Timeout

from fanfold.errors import ItemRefused, SourceBusy
from fanfold.messages import ENGINE
from fanfold.sources import Response, strict_json
from fanfold.sources.deadline import DeadlineAdapter
from fanfold.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.messages import Message
    from fanfold.sources import Call
    from fanfold.sources.endpoint import Endpoint

MAX_BODY = 8 * 1024 * 1024
"""Bytes of a decoded response. Each of up to 256 concurrent requests may hold as many, and its JSON
document several times that; larger results belong on several pages."""
MAX_CONNECTIONS = 256
"""Size of the connection pool: the maximum ``concurrency`` of a batch."""
_CHUNK = 64 * 1024


class HttpClient:
    """Sends requests to one endpoint, all with the same query and headers. Thread-safe.

    ``fields`` are added to the JSON body of POST requests.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        fields: Mapping[str, str] = MappingProxyType({}),
        max_body: int = MAX_BODY,
    ) -> None:
        self._server = endpoint.site
        self._query = query
        self._fields = fields
        self._max_body = max_body
        self._adapter = DeadlineAdapter(pool_connections=1, pool_maxsize=MAX_CONNECTIONS)
        self._pool, self._prefix = self._adapter.route(endpoint)
        self._headers = {
            "User-Agent": f"fanfold/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            **headers,
        }
        self._timeout = Timeout(connect=endpoint.connect_timeout, read=endpoint.read_timeout)
        # The fetch stage retries; a redirect could send the token to another host.
        self._never = Retry(total=False, redirect=False)
        # At debug level it logs URLs, which may contain the token.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def send(
        self,
        call: Call,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
    ) -> tuple[Response, bytes]:
        """Return the response to a request, whatever its status, and its body.

        ``headers`` are sent with this request only; ``body`` is the JSON document as bytes, instead of that
        of the call.

        Raises:
            ItemRefused: The request contains text that UTF-8 cannot encode.
            SourceBusy: The connection failed, or the response is incomplete, too large or too slow.
        """
        # A link to the next page may have a query, which may contain a token.
        path = call.path.partition("?")[0]
        content = body
        if call.json is not None:
            document = {**call.json, **self._fields} if self._fields else call.json
            content = json.dumps(document).encode()
        if content is not None:
            headers = {"Content-Type": "application/json", **headers}
        try:
            query = urlencode({**call.query, **self._query})
        except UnicodeEncodeError:
            raise ItemRefused(ENGINE.message("http.not_unicode", path=path)) from None
        separator = ("&" if "?" in call.path else "?") if query else ""
        try:
            response = self._pool.urlopen(
                "GET" if content is None else "POST",
                f"{self._prefix}{call.path}{separator}{query}",
                body=content,
                headers={**self._headers, **headers},
                timeout=self._timeout,
                retries=self._never,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=True,
            )
            try:
                received = _read_body(response, path, self._max_body)
            except BaseException:
                # Discard the connection: its unread rest would precede the next response.
                response.close()
                raise
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            message = _message(error, path)
        else:
            parsed, flaw = strict_json.parse(received)
            found = Response(response.status, response.headers, parsed, flaw, path, self._server)
            return found, received
        # Without a context: the texts of these errors contain the URL, which may contain the token.
        raise SourceBusy(message, unavailable=True)


def _read_body(response: urllib3.BaseHTTPResponse, path: str, limit: int) -> bytes:
    body = response.read1(_CHUNK)
    # One read is enough for nearly all responses, but not for a compressed body.
    if response.length_remaining != 0 or "Content-Encoding" in response.headers:
        chunks = [body]
        size = len(body)
        while chunk := response.read1(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise SourceBusy(ENGINE.message("http.too_large", path=path, bytes=limit))
        body = b"".join(chunks)
    return body


_MESSAGE_IDS: tuple[tuple[type[Exception], str], ...] = (
    (urllib3.exceptions.ProxyError, "http.proxy"),  # its cause may be one of the others
    (urllib3.exceptions.NameResolutionError, "http.no_host"),
    # A subclass of ConnectTimeoutError for historical reasons, so it comes first.
    (urllib3.exceptions.NewConnectionError, "http.no_connection"),
    (urllib3.exceptions.ConnectTimeoutError, "http.connect_timeout"),
    (urllib3.exceptions.ReadTimeoutError, "http.read_timeout"),
    (urllib3.exceptions.DecodeError, "http.compression"),
    (http.client.IncompleteRead, "http.cut_off"),
    (TimeoutError, "http.read_timeout"),
)


_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
"""OpenSSL's reasons where the response to a TLS handshake is not TLS, such as HTTP."""


def _message(error: Exception, path: str) -> Message:
    # urllib3 wraps what cuts a response off.
    causes = [each for each in (error, *error.args) if isinstance(each, Exception)]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ENGINE.message("http.tls", path=path, reason=cause.verify_message)
        if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
            return ENGINE.message("http.no_tls", path=path)
        if isinstance(cause, ssl.SSLError) and isinstance(error, urllib3.exceptions.SSLError):
            reason = cause.reason or type(cause).__name__
            return ENGINE.message("http.tls_failed", path=path, reason=reason)
        if type(cause) is http.client.BadStatusLine:  # not RemoteDisconnected
            return ENGINE.message("http.no_http", path=path)
    name = next(
        (name for kind, name in _MESSAGE_IDS if any(isinstance(each, kind) for each in causes)),
        "http.connection_failed",
    )
    return ENGINE.message(name, path=path)
