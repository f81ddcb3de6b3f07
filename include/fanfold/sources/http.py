"""The HTTP client of all sources: ``requests``, with time-outs, size limits and nothing leaked.

One :class:`Client` serves all threads of a batch. Each thread has a ``requests.Session`` of its
own (a Session is not documented as thread-safe), with connections kept open.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from fanfold import __version__
from fanfold.errors import SourceBusy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.sources import Call, Found, NotThere, Source
    from fanfold.sources.endpoint import Endpoint

MAX_BODY = 2 * 1024 * 1024
"""Bytes of a decoded answer; a Weibo profile with its last post has 2 to 8 KiB."""
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source answered.

    Attributes:
        status: HTTP status.
        headers: Case-insensitive headers.
        body: The JSON document, or None where the body is not JSON.
    """

    status: int
    headers: Mapping[str, str]
    body: Any


class Client:
    """Asks one endpoint of one source. Use it as a context manager: it closes its connections."""

    def __init__(self, source: Source, endpoint: Endpoint) -> None:
        self.source = source
        self.endpoint = endpoint
        self._query, self._headers = source.credentials(endpoint)
        # The environment is read once, not at each request: that costs a tenth of a millisecond.
        self._proxies = get_environ_proxies(endpoint.url)
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions:
            session.close()

    def look_up(self, key: str) -> Found | NotThere:
        """Return what the source says about an item: one request.

        Raises:
            CredentialRefused: The token is refused.
            QuotaSpent: The source gives nothing more until a time.
            SourceBusy: No proper answer came; the same request may succeed later.
            ItemRefused: The source will never answer this request.
        """
        return self.source.read(key, self.get(self.source.call(key)))

    def get(self, call: Call) -> Answer:
        """Return the answer to a call, whatever its status.

        Raises:
            SourceBusy: The connection failed, the answer was cut, too large or too slow.
        """
        session, template = self._prepared()
        query = urlencode({**call.query, **self._query})
        # Preparing a request costs as much as a fifth of all that it takes; only its URL changes.
        prepared = template.copy()
        prepared.url = f"{self.endpoint.url}{call.path}{'?' if query else ''}{query}"
        try:
            response = session.send(
                prepared,
                timeout=(self.endpoint.connect_timeout, self.endpoint.read_timeout),
                # A redirect could carry the token to another host.
                allow_redirects=False,
                proxies=self._proxies,
                stream=True,
            )
            with response:
                body = self._body(response, call)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # The text of these errors holds the URL, and with it the token: only the kind is told.
            raise SourceBusy(f"{call.path}: {_kind(error)}") from None
        return Answer(response.status_code, response.headers, body)

    def _body(self, response: requests.Response, call: Call) -> Any:
        """Return the JSON of a response, or None; never read more than ``MAX_BODY`` bytes."""
        deadline = time.monotonic() + 3 * self.endpoint.read_timeout
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > MAX_BODY:
                raise SourceBusy(f"{call.path}: the answer is larger than {MAX_BODY} bytes")
            if time.monotonic() > deadline:
                raise SourceBusy(f"{call.path}: the answer trickles, it was given up")
        try:
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return None

    def _prepared(self) -> tuple[requests.Session, requests.PreparedRequest]:
        """Return this thread's session and the request that all of its requests are copies of."""
        kept: tuple[requests.Session, requests.PreparedRequest] | None
        kept = getattr(self._local, "kept", None)
        if kept is None:
            session = requests.Session()
            session.trust_env = False
            session.headers.update(
                {
                    "User-Agent": f"fanfold/{__version__}",
                    "Accept": "application/json",
                    **self._headers,
                }
            )
            adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            template = session.prepare_request(requests.Request("GET", self.endpoint.url))
            kept = self._local.kept = (session, template)
            with self._lock:
                self._sessions.append(session)
        return kept


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After`` header (RFC 9110, 10.2.3), or None."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def busy_answer(path: str, answer: Answer) -> SourceBusy:
    """Return the error for an answer that no rule of the source knows."""
    what = "an answer that is not JSON" if answer.body is None else "an answer of no known form"
    return SourceBusy(
        f"{path}: HTTP {answer.status}, {what}", retry_after=retry_after(answer.headers)
    )


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.ConnectTimeout, "no connection in time"),
    (requests.exceptions.ReadTimeout, "no answer in time"),
    (urllib3.exceptions.ReadTimeoutError, "no answer in time"),
    (requests.exceptions.SSLError, "the TLS certificate is not trusted"),
    (requests.exceptions.ProxyError, "the proxy refuses"),
    (requests.exceptions.ContentDecodingError, "the answer's compression is broken"),
    (requests.exceptions.ChunkedEncodingError, "the answer was cut off"),
)


def _kind(error: Exception) -> str:
    return next((text for kind, text in _KINDS if isinstance(error, kind)), "the connection failed")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
