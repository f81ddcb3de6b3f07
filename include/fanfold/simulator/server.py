"""HTTP/1.1 with pipelining on asyncio and httptools.

A web framework would not let the faults send invalid bytes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import httptools

from fanfold.simulator.exchange import Delivery, Reply, Request, deliver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.simulator.application import Application

MOST_BYTES = 256 * 1024
"""Maximum size of URL, headers and body of a request together."""
MOST_POSTED_BYTES = 14 * 1024 * 1024
"""The same for POST: functions take payloads of 6 MB, at SCF with escaped quotes, and say more about larger
ones."""


class Connection(asyncio.Protocol):
    """A client connection."""

    def __init__(self, application: Application, open_connections: set[Connection]) -> None:
        self._application = application
        self._open_connections = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._stream: Iterator[bytes] | None = None
        self._pause_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._answering = False
        self._paused = False
        self._closing = False
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._authorization = ""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._size = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._open_connections.add(self)
        self._application.counters.connected()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Release everything; the connection may be in any state."""
        self._closing = True
        self._open_connections.discard(self)
        self._application.counters.connections_open -= 1
        if self._timer is not None:
            self._timer.cancel()
        if self._answering:
            self._application.counters.in_flight -= 1
        self._waiting.clear()
        self._stream = None

    def data_received(self, data: bytes) -> None:
        """Parse data; the parser calls the ``on_`` methods."""
        if self._closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish()
        except httptools.HttpParserError:
            self._refuse(400, "This is not HTTP/1.1")

    def pause_writing(self) -> None:
        """Stop reading and answering: the client does not keep up."""
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Continue reading and answering."""
        self._paused = False
        self._transport.resume_reading()
        if self._stream is None:
            self._answer_next()
        elif self._timer is None:  # else the timer continues
            self._write_more()

    def close(self) -> None:
        """Abort the connection."""
        self._closing = True
        self._transport.abort()

    # httptools callbacks

    def on_url(self, url: bytes) -> None:
        """Append to the URL."""
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a header."""
        self._grow(len(name) + len(value))
        self._headers.append((name, value))
        lower = name.lower()
        if lower == b"authorization":
            self._authorization = value.decode("latin-1")
        elif lower == b"expect":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Append to the body."""
        self._body += body
        self._grow(len(body))

    def on_message_complete(self) -> None:
        """Answer the request, or queue it behind the current one."""
        if self._closing:
            return
        path, _, query = self._url.decode("latin-1").partition("?")
        if path.startswith("http://"):  # absolute form, as sent to a proxy
            path = "/" + path[7:].partition("/")[2]
        method = self._parser.get_method().decode()
        headers = self._headers
        if method != "POST":
            headers = [each for each in headers if each[0].lower() == b"host"]
        try:
            request = Request(
                method,
                unquote(path) if "%" in path else path,
                dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100)),
                self._authorization,
                self._body,
                _decoded(headers),
            )
        except ValueError:
            self._refuse(400, "The query has more than 100 fields")
            return
        keep_alive = self._parser.should_keep_alive()
        self._begin()
        self._waiting.append((request, keep_alive))
        self._answer_next()

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size <= MOST_BYTES or self._closing:
            return
        most = MOST_POSTED_BYTES if self._parser.get_method() == b"POST" else MOST_BYTES
        if self._size > most:
            self._refuse(413, f"A request may have at most {most} bytes")

    def _refuse(self, status: int, message: str) -> None:
        if not self._closing:
            reply = Reply(status, b'{"error":"%s"}' % message.encode())
            self._transport.write(deliver(reply, close=True).payload)
            self._finish()

    def _finish(self) -> None:
        self._closing = True
        self._waiting.clear()
        self._transport.close()

    def _answer_next(self) -> None:
        while self._waiting and not (self._answering or self._paused or self._closing):
            request, keep_alive = self._waiting.popleft()
            self._answering = True
            self._begin_delivery(self._application.answer(request), keep_alive=keep_alive)

    def _begin_delivery(self, delivery: Delivery, *, keep_alive: bool) -> None:
        loop = asyncio.get_running_loop()
        if delivery.pending is not None:
            done = partial(self._begin_after, delivery, keep_alive=keep_alive)
            delivery.pending.add_done_callback(lambda _: loop.call_soon_threadsafe(done))
            return
        if not keep_alive:
            delivery.close = True
            delivery.payload = delivery.payload.replace(
                b"\r\nConnection: keep-alive\r\n", b"\r\nConnection: close\r\n", 1
            )
        if delivery.delay_s > 0:
            self._timer = loop.call_later(delivery.delay_s, self._deliver_late, delivery)
        else:
            self._deliver(delivery)

    def _begin_after(self, pending: Delivery, *, keep_alive: bool) -> None:
        assert pending.then is not None  # noqa: S101 - for the type checker
        delivery = pending.then()  # also for a client that has gone: it is counted
        if not self._closing:
            self._begin_delivery(delivery, keep_alive=keep_alive)
            self._answer_next()

    def _deliver_late(self, delivery: Delivery) -> None:
        self._timer = None
        self._deliver(delivery)
        self._answer_next()

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.payload:
            self._transport.write(delivery.payload)
        if delivery.more is not None:
            self._stream = delivery.more
            self._close_after = delivery.close
            self._pause_s = delivery.pause_s
            self._write_more()
            return
        self._delivered(close=delivery.close)
        if delivery.reset:
            self._reset()

    def _delivered(self, *, close: bool) -> None:
        self._answering = False
        self._application.counters.in_flight -= 1
        if close:
            self._finish()

    def _reset(self) -> None:
        """Close with RST: SO_LINGER with a timeout of 0."""
        bare = self._transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def _write_more(self) -> None:
        """Write one block of a long body, then yield to the event loop."""
        self._timer = None
        if self._stream is None or self._paused or self._closing:
            return
        block = next(self._stream, None)
        if block is None:
            self._stream = None
            self._delivered(close=self._close_after)
            self._answer_next()
            return
        self._transport.write(block)
        if self._pause_s:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pause_s, self._write_more)
        elif not self._paused:  # else resume_writing continues
            asyncio.get_running_loop().call_soon(self._write_more)


def _decoded(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


async def serve(
    application: Application, host: str, port: int
) -> tuple[asyncio.Server, set[Connection]]:
    """Listen; return the server and its open connections.

    Raises:
        OSError: The address is in use or not local.
    """
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(application, connections), host, port, backlog=1024
    )
    return server, connections
