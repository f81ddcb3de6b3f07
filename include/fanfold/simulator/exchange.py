"""Requests, replies, their delivery, and the interface of a simulated API."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from fanfold.simulator.handlers import Workers
from fanfold.simulator.quota import UNLIMITED_QUOTA, Quota
from fanfold.simulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

JSON = b"application/json;charset=UTF-8"
HTML = b"text/html;charset=UTF-8"

_SETTINGS = Settings()
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\nServer: fanfold-simulator\r\n".encode()
    for status in HTTPStatus
}


@dataclass(slots=True)
class Request:
    """An HTTP request with its decoded query; the last value of a repeated key counts.

    Attributes:
        headers: Those of a POST request, of others only ``host``, by their names in lower case.
        quota, settings, workers: Those of the simulator, set by the application; workers run functions.
        now: Time of the hot topics, in seconds since 1970; the same throughout the request.
        running: The call of a function that has begun.
    """

    method: str
    path: str
    query: dict[str, str]
    authorization: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    quota: Quota = UNLIMITED_QUOTA
    settings: Settings = _SETTINGS
    workers: Workers = field(default_factory=Workers)
    now: int = 0
    running: Future[Any] | None = None
    _id: str = ""

    @property
    def id(self) -> str:
        """A unique id."""
        self._id = self._id or str(uuid.uuid4())
        return self._id


@dataclass(slots=True)
class Reply:
    """The response of an API; ``headers`` are complete lines with their line ends."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: bytes = b""

    def head(self, *, length: int | None = None, close: bool = False) -> bytes:
        """Return status line and headers; ``length`` overrides the Content-Length."""
        return b"%sContent-Type: %s\r\nContent-Length: %d\r\n%sConnection: %s\r\n\r\n" % (
            _STATUS_LINES[self.status],
            self.content_type,
            len(self.body) if length is None else length,
            self.headers,
            b"close" if close else b"keep-alive",
        )


@dataclass(slots=True)
class Delivery:
    """The bytes to send for one request, and when.

    Attributes:
        status: HTTP status for the statistics; 0 if none is sent.
        payload: Head and body, sent in one write.
        close: Close the connection afterwards.
        delay_s: Seconds before the first byte.
        more: Further blocks, generated as fast as the client reads; may be infinite.
        fault: Fault for the statistics.
        pause_s: Seconds between the blocks of ``more``.
        reset: Reset the TCP connection afterwards.
        pending: Work in another process to wait for, and what returns the delivery when it is done.
    """

    status: int
    payload: bytes
    close: bool = False
    delay_s: float = 0.0
    more: Iterator[bytes] | None = None
    fault: str = ""
    pause_s: float = 0.0
    reset: bool = False
    pending: tuple[Future[Any], Callable[[], Delivery]] | None = None


class Pending(Exception):  # noqa: N818 - no error
    """The reply depends on work in another process; ask again when it is done."""

    def __init__(self, work: Future[Any]) -> None:
        super().__init__()
        self.work = work


def deliver(reply: Reply, *, close: bool = False) -> Delivery:
    """Return an unmodified reply as a delivery."""
    return Delivery(reply.status, reply.head(close=close) + reply.body, close=close)


@dataclass(frozen=True, slots=True)
class Route:
    """One path of an API.

    Attributes:
        answer: Returns the correct reply, or raises :class:`Pending`.
        items: Returns the requested uids or accounts; None for paths about the token and the
            server, which have no quota and no random faults.
        method: The allowed HTTP method.
    """

    answer: Callable[[Request], Reply]
    items: Callable[[Request], list[str]] | None = None
    method: str = "GET"


class Api(Protocol):
    """The interface of a simulated API, implemented by modules."""

    TOKEN_REQUIRED: bool

    def route(self, request: Request) -> Route | None:
        """Return the route of a request, if the API has one."""

    def template(self, path: str) -> str:
        """Return the path with placeholders, for the statistics."""

    def token(self, request: Request) -> str | None:
        """Return the access token of a request, if it has one."""

    def quota_headers(self, request: Request) -> bytes:
        """Return the rate limit headers."""

    def error(self, request: Request, code: int) -> Reply:
        """Return the error that corresponds to a Weibo error code."""
