"""The HTTP client of all sources: ``requests``, with time-outs, size limits and nothing leaked.

One :class:`Client` serves all threads of a batch. ``requests`` decides where a request goes (proxy,
certificates, pool of connections) once, in its transport adapter; each request then goes straight
to that pool. What ``Session.send`` adds to each (cookies, hooks, redirects, look-ups in the
environment) is not wanted here and costs as much as the request itself: docs/decisions/0008.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlencode

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.util import Retry, Timeout

from fanfold import __version__
from fanfold.errors import SourceBusy
from fanfold.messages import ENGINE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from urllib3.connectionpool import HTTPConnectionPool

    from fanfold.sources import Call, Found, NotThere, Several, Source
    from fanfold.sources.endpoint import Endpoint

MAX_BODY = 2 * 1024 * 1024
"""Bytes of a decoded answer for one item; a Weibo profile with its last post has 2 to 8 KiB."""
MOST_CONNECTIONS = 256
"""Connections that are kept open: the highest ``concurrency`` of a batch."""
DEEPEST = 64
"""Objects and lists within each other in an answer; what is deeper, a later stage may not write."""
_LONGEST_HEAD = 256 * 1024
_CHUNK = 64 * 1024
_PATIENCE = 3
"""An answer may take so many read time-outs as a whole; a byte a second would pass each of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source answered.

    Attributes:
        status: HTTP status.
        headers: Case-insensitive headers.
        body: The JSON document, or None where the body is none that we take.
        flaw: Id of the message that says what is wrong with such a body; "" for nothing.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    flaw: str = "http.not_json"


class Client:
    """Asks one endpoint of one source. Use it as a context manager: it closes its connections.

    Attributes:
        source: What is asked.
        endpoint: Where.
        on_spent: Told how many seconds the source wants no further request, where an answer that
            is right otherwise says so in its headers.
    """

    def __init__(self, source: Source, endpoint: Endpoint) -> None:
        self.source = source
        self.endpoint = endpoint
        self.on_spent: Callable[[float], None] | None = None
        self._query, headers = source.credentials(endpoint)
        self._adapter = _Adapter(pool_connections=1, pool_maxsize=MOST_CONNECTIONS)
        self._pool, self._prefix = self._adapter.route(endpoint)
        self._headers = {
            "User-Agent": f"fanfold/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            **headers,
        }
        self._timeout = Timeout(connect=endpoint.connect_timeout, read=endpoint.read_timeout)
        # Neither retries (ours are in the engine) nor redirects: one could carry the token away.
        self._never = Retry(total=False, redirect=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._adapter.close()

    def look_up(self, key: str) -> Found | NotThere:
        """Return what the source says about an item: one request.

        Raises:
            CredentialRefused: The token is refused.
            QuotaSpent: The source gives nothing more until a time.
            SourceBusy: No proper answer came; the same request may succeed later.
            ItemRefused: The source will never answer this request.
        """
        return self.source.read(key, self.get(self.source.call(key)))

    def look_up_several(self, several: Several, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the records of those items that the source knows, by key: one request.

        Raises:
            CredentialRefused: The token is refused.
            QuotaSpent: The source gives nothing more until a time.
            SourceBusy: No proper answer came; the same request may succeed later.
            ItemRefused: The source will never answer this request, perhaps because of one item.
        """
        return several.read(keys, self.get(several.call(keys), most=MAX_BODY * len(keys)))

    def get(self, call: Call, most: int = MAX_BODY) -> Answer:
        """Return the answer to a call, whatever its status.

        Args:
            call: What to ask.
            most: Bytes of the decoded body that are read.

        Raises:
            SourceBusy: The connection failed, the answer was cut, too large or too slow.
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
                body = _body(response, call, most)
            except BaseException:
                # The rest of it is not wanted: neither read, nor left in the way of the next answer.
                response.close()
                raise
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            # The text of these errors holds the URL, and with it the token: only the kind is told.
            raise SourceBusy(ENGINE.message(_kind(error), path=call.path), away=True) from None
        answer = Answer(response.status, response.headers, *_document(body))
        if self.on_spent is not None and self.source.spent is not None:
            seconds = self.source.spent(answer)
            if seconds is not None:
                self.on_spent(seconds)
        return answer


class _Adapter(HTTPAdapter):
    """The transport adapter of one endpoint."""

    def route(self, endpoint: Endpoint) -> tuple[HTTPConnectionPool, str]:
        """Return the pool of connections to an endpoint and what stands before each path.

        Proxies and certificate bundles come from the environment, as with any Session.
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
        pool.ConnectionCls = type(kind.__name__, (kind,), {"response_class": _within(endpoint)})
        # A proxy of plain HTTP is told the whole address.
        through_proxy = self.request_url(template, proxies).startswith("http")
        return pool, endpoint.url if through_proxy else ""


def _within(endpoint: Endpoint) -> type[http.client.HTTPResponse]:
    """Return a class of responses that end when they take too long as a whole."""
    seconds = _PATIENCE * endpoint.read_timeout

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            self._hurried = _Hurried(sock, seconds)
            super().__init__(self._hurried, *args, **kwargs)  # type: ignore[arg-type]

        def begin(self) -> None:
            super().begin()
            self._hurried.head_left = sys.maxsize
            # urllib3 would log lines that are no headers, and the URL with them.
            if self.msg.defects:
                self.msg.defects = []
                self.msg.set_payload("")

    return Response


class _Hurried(io.RawIOBase):
    """What comes from a socket until a moment: each read has its time-out, their sum has not.

    Attributes:
        head_left: Bytes that may come before the end of the head: ``100 Continue`` can go on for
            ever, and costs more to read than to send.
    """

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self.head_left = _LONGEST_HEAD
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = time.monotonic() + seconds

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TimeoutError("the answer trickles")
        if self.head_left < 0:
            raise http.client.HTTPException("the head has no end")
        count = self._raw.readinto(buffer)
        self.head_left -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _body(response: urllib3.BaseHTTPResponse, call: Call, most: int) -> bytes:
    """Return the body of a response; never hold more than ``most`` bytes and a chunk."""
    body = response.read1(_CHUNK)
    # All is here already in nearly every case; a compressed body may hold more than it shows.
    if response.length_remaining != 0 or "Content-Encoding" in response.headers:
        pieces = [body]
        size = len(body)
        while chunk := response.read1(_CHUNK):
            pieces.append(chunk)
            size += len(chunk)
            if size > most:
                raise SourceBusy(ENGINE.message("http.too_large", path=call.path, bytes=most))
        body = b"".join(pieces)
    return body


class _DocumentError(ValueError):
    """JSON that parsers take, and that is none or means something else to each reader."""


def _document(body: bytes) -> tuple[Any, str]:
    """Return the JSON document of a body and "", or None and the id of what is wrong with the body."""
    try:
        document = _DECODER.decode(body.decode("utf-8"))
    except _DocumentError as error:
        return None, str(error)
    except ValueError:
        return None, "http.not_json"
    except RecursionError:
        return None, "http.too_deep"
    # Nearly every answer has so few brackets that it cannot be deep.
    if body.count(b"{") + body.count(b"[") > DEEPEST and _is_deep(document):
        return None, "http.too_deep"
    return document, ""


def _is_deep(document: Any) -> bool:
    level = [document]
    for _ in range(DEEPEST):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def _refuse_constant(_: str) -> Any:
    raise _DocumentError("http.not_a_number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        # Which of two values is meant, nobody knows (RFC 8259, section 4).
        raise _DocumentError("http.duplicate_name")
    return made


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_object)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After`` header (RFC 9110, 10.2.3), or None."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        # By the source's own clock, where it tells it: ours may be wrong.
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def busy_answer(path: str, answer: Answer) -> SourceBusy:
    """Return the error for an answer that no rule of the source knows."""
    if 300 <= answer.status < 400:
        what = "http.redirect"
    elif answer.body is None and answer.flaw:
        what = answer.flaw
    else:
        what = "http.unexpected"
    return SourceBusy(
        ENGINE.message(what, path=path, status=answer.status),
        retry_after=retry_after(answer.headers),
        overloaded=answer.status in {429, 503},
    )


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    # A kind of ConnectTimeoutError in urllib3, for history.
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


def _kind(error: Exception) -> str:
    """Return the id of the message for an error of the connection."""
    return next(
        (name for kind, name in _KINDS if isinstance(error, kind)), "http.connection_failed"
    )
