"""HTTP client of all sources: timeouts, size limits, strict JSON, no secret in an error.

``requests`` resolves proxy, certificates and connection pool once per endpoint; requests then go to
the pool directly. What ``Session.send`` adds (cookies, hooks, redirects, environment look-ups) is
not needed and costs as much as the request itself: docs/decisions/0008.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3
from urllib3.util import Retry, Timeout

from fanfold import __version__
from fanfold.errors import SourceBusy
from fanfold.messages import ENGINE
from fanfold.sources import strict_json
from fanfold.sources.deadline import DeadlineAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.sources.endpoint import Endpoint

MAX_BODY = 2 * 1024 * 1024
"""Bytes of a decoded response for one item; a Weibo profile with its last post has 2 to 8 KiB."""
MAX_CONNECTIONS = 256
"""Size of the connection pool: the maximum ``concurrency`` of a batch."""
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """A GET request below an endpoint's URL.

    Attributes:
        path: Absolute path, quoted.
        query: Query parameters; never a secret.
    """

    path: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """A response of a source.

    Attributes:
        status: HTTP status.
        headers: Case-insensitive headers.
        body: The JSON document, or None if the body is invalid.
        flaw: Message id of what is wrong with the body; "" if it is valid.
        path: Path of the request.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    flaw: str = "http.not_json"
    path: str = ""


class HttpClient:
    """Sends requests to one endpoint, all with the same query and headers. Thread-safe."""

    def __init__(
        self, endpoint: Endpoint, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        self._query = query
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

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def get(self, call: Call, max_body: int = MAX_BODY) -> Response:
        """Return the response to a request, whatever its status.

        Args:
            call: The request.
            max_body: Maximum size of the decoded body in bytes.

        Raises:
            SourceBusy: The connection failed, or the response is incomplete, too large or too slow.
        """
        query = urlencode({**call.query, **self._query})
        try:
            response = self._pool.urlopen(
                "GET",
                f"{self._prefix}{call.path}{'?' if query else ''}{query}",
                headers=self._headers,
                timeout=self._timeout,
                retries=self._never,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=True,
            )
            try:
                body = _read_body(response, call, max_body)
            except BaseException:
                # Discard the connection: its unread rest would precede the next response.
                response.close()
                raise
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            # The texts of these errors contain the URL, which may contain the token.
            raise SourceBusy(
                ENGINE.message(_message_id(error), path=call.path), unavailable=True
            ) from None
        document, flaw = strict_json.parse(body)
        return Response(response.status, response.headers, document, flaw, call.path)


def _read_body(response: urllib3.BaseHTTPResponse, call: Call, max_body: int) -> bytes:
    body = response.read1(_CHUNK)
    # One read is enough for nearly all responses, but not for a compressed body.
    if response.length_remaining != 0 or "Content-Encoding" in response.headers:
        chunks = [body]
        size = len(body)
        while chunk := response.read1(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > max_body:
                raise SourceBusy(ENGINE.message("http.too_large", path=call.path, bytes=max_body))
        body = b"".join(chunks)
    return body


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After`` header (RFC 9110, 10.2.3), or None."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        # Relative to the server's clock if it sends its time: the local clock may be wrong.
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def unexpected_response(response: Response) -> SourceBusy:
    """Return the error for a response that the source has no rule for."""
    if 300 <= response.status < 400:
        message_id = "http.redirect"
    elif response.body is None and response.flaw:
        message_id = response.flaw
    else:
        message_id = "http.unexpected"
    return SourceBusy(
        ENGINE.message(message_id, path=response.path, status=response.status),
        retry_after=retry_after(response.headers),
        overloaded=response.status in {429, 503},
    )


_MESSAGE_IDS: tuple[tuple[type[Exception], str], ...] = (
    # A subclass of ConnectTimeoutError for historical reasons, so it comes first.
    (urllib3.exceptions.NewConnectionError, "http.connection_failed"),
    (urllib3.exceptions.ConnectTimeoutError, "http.connect_timeout"),
    (urllib3.exceptions.ReadTimeoutError, "http.read_timeout"),
    (urllib3.exceptions.SSLError, "http.tls"),
    (urllib3.exceptions.ProxyError, "http.proxy"),
    (urllib3.exceptions.DecodeError, "http.compression"),
    (urllib3.exceptions.IncompleteRead, "http.cut_off"),
    (urllib3.exceptions.InvalidChunkLength, "http.cut_off"),
    (TimeoutError, "http.read_timeout"),
)


def _message_id(error: Exception) -> str:
    return next(
        (name for kind, name in _MESSAGE_IDS if isinstance(error, kind)), "http.connection_failed"
    )
