"""What passes between the wire and the APIs: a request, a reply, and how it is delivered."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fanfold.simulator.quota import Quota

JSON = b"application/json;charset=UTF-8"
HTML = b"text/html;charset=UTF-8"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\nServer: fanfold-simulator\r\n".encode()
    for status in HTTPStatus
}


@dataclass(slots=True)
class Request:
    """One request, its query decoded; of a key given twice the last value counts.

    ``day`` is the day of the simulated world that it is answered on.
    """

    method: str
    path: str
    query: dict[str, str]
    authorization: str = ""
    body: bytes = b""
    day: int = 0


@dataclass(slots=True)
class Reply:
    """What an API answers. ``headers`` are whole lines, each with its line end."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: bytes = b""

    def head(self, *, length: int | None = None, close: bool = False) -> bytes:
        """Status line and headers; ``length`` (bytes) replaces the body's own Content-Length."""
        return b"%sContent-Type: %s\r\nContent-Length: %d\r\n%sConnection: %s\r\n\r\n" % (
            _STATUS_LINES[self.status],
            self.content_type,
            len(self.body) if length is None else length,
            self.headers,
            b"close" if close else b"keep-alive",
        )


@dataclass(slots=True)
class Delivery:
    """What goes on the wire for one request.

    Attributes:
        status: The HTTP status for the statistics; 0 where none is sent.
        payload: Head and body, written at once (one packet for a small answer).
        close: Close the connection when all is written.
        delay_s: Seconds to wait before the first byte.
        more: Further bytes, asked for only as fast as the client reads them; may never end.
        pause_s: Seconds to wait before each block of ``more``.
        reset: End the connection with a TCP reset when all is written.
        fault: The kind of fault, for the statistics.
    """

    status: int
    payload: bytes
    close: bool = False
    delay_s: float = 0.0
    more: Iterator[bytes] | None = None
    fault: str = ""
    pause_s: float = 0.0
    reset: bool = False


def deliver(reply: Reply, *, close: bool = False) -> Delivery:
    """Deliver a reply as it is."""
    return Delivery(reply.status, reply.head(close=close) + reply.body, close=close)


@dataclass(frozen=True, slots=True)
class Route:
    """One path of an API.

    Attributes:
        answer: From the request and the state of the quota to the reply when all is well.
        items: The uids, names or accounts asked for; None for paths that tell about the
            account itself, which neither quota nor random faults touch.
        method: The one method that the path takes.
    """

    answer: Callable[[Request, Quota], Reply]
    items: Callable[[Request], list[str]] | None = None
    method: str = "GET"


class Api(Protocol):
    """What each simulated API knows; a module with these functions is one."""

    def route(self, path: str) -> Route | None:
        """What answers a path, or None where the API has no such path."""

    def template(self, path: str) -> str:
        """The path with names in the place of what differs, as the statistics count it."""

    def authorised(self, request: Request, token: str) -> bool:
        """Whether the request carries the token, where this API asks for one."""

    def identified(self, request: Request) -> bool:
        """Whether an authorised request carries a token at all."""

    def refused(self, request: Request, *, expired: bool) -> Reply:
        """The answer to a wrong, missing or expired token."""

    def quota_spent(self, request: Request, quota: Quota, code: int) -> Reply:
        """The answer to a request over the quota; ``code`` is Weibo's, where it has one."""

    def quota_headers(self, quota: Quota) -> bytes:
        """Header lines that tell the state of the quota."""

    def busy(self, request: Request, draw: int) -> Reply:
        """The answer of an overloaded server; ``draw`` chooses among several."""

    def unknown(self, request: Request) -> Reply:
        """The answer when there is no such user."""

    def coded(self, request: Request, code: int) -> Reply:
        """The answer with one of Weibo's error codes, or the nearest that the API has."""

    def unsupported(self, request: Request) -> Reply:
        """The answer to a method that the path does not take."""
