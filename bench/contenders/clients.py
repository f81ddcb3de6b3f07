"""How fast HTTP clients are: each asks for the same profiles, one process, nothing written.

    python clients.py NAME ITEMS IN_FLIGHT     # prints one line of JSON

Threads where the client blocks, one event loop where it does not, each with as many requests in
flight. ``raw`` is no library but a bare parser on sockets: what is left when a client costs nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Fetch = Callable[[list[str], int], list[Any]]


def by_threads(urls: list[str], in_flight: int, opened: Callable[[], Callable[[str], Any]]) -> Any:
    """Ask from threads; each opens a client of its own."""
    local = threading.local()

    def get(url: str) -> Any:
        asked = getattr(local, "asked", None)
        if asked is None:
            asked = local.asked = opened()
        return json.loads(asked(url))

    with ThreadPoolExecutor(in_flight) as pool:
        return list(pool.map(get, urls))


async def by_loop(urls: list[str], in_flight: int, asked: Callable[[str], Awaitable[Any]]) -> Any:
    """Ask from so many coroutines."""
    waiting = iter(urls)
    found: list[Any] = []

    async def work() -> None:
        for url in waiting:
            found.append(json.loads(await asked(url)))  # noqa: PERF401 - the others append too

    await asyncio.gather(*(work() for _ in range(in_flight)))
    return found


def of_requests(urls: list[str], in_flight: int) -> Any:
    """requests.Session.get, as plain.py does."""
    import plain

    return plain.fetch(urls, in_flight)


def of_urllib3(urls: list[str], in_flight: int) -> Any:
    """What requests stands on."""
    import urllib3

    pool = urllib3.PoolManager(maxsize=in_flight)
    return by_threads(urls, in_flight, lambda: lambda url: pool.request("GET", url).data)


def of_niquests(urls: list[str], in_flight: int) -> Any:
    """A successor of requests."""
    import niquests

    def opened() -> Callable[[str], Any]:
        session = niquests.Session()
        return lambda url: session.get(url).content

    return by_threads(urls, in_flight, opened)


def of_pycurl_threads(urls: list[str], in_flight: int) -> Any:
    """libcurl, a handle a thread."""
    import pycurl

    def opened() -> Callable[[str], Any]:
        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)

        def get(url: str) -> Any:
            curl.setopt(pycurl.URL, url)
            return curl.perform_rb()

        return get

    return by_threads(urls, in_flight, opened)


def of_pycurl(urls: list[str], in_flight: int) -> Any:
    """The multi interface of libcurl, as fastest.py does."""
    import fastest

    return fastest.fetch(urls, in_flight)


async def _httpx(urls: list[str], in_flight: int) -> Any:
    import httpx

    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with httpx.AsyncClient(limits=limits) as client:

        async def get(url: str) -> Any:
            return (await client.get(url)).content

        return await by_loop(urls, in_flight, get)


async def _aiohttp(urls: list[str], in_flight: int) -> Any:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def get(url: str) -> Any:
            async with session.get(url) as answer:
                return await answer.read()

        return await by_loop(urls, in_flight, get)


async def _pyreqwest(urls: list[str], in_flight: int) -> Any:
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().build() as client:

        async def get(url: str) -> Any:
            answer = await client.get(url).build().send()
            return bytes(await answer.bytes())

        return await by_loop(urls, in_flight, get)


async def _wreq(urls: list[str], in_flight: int) -> Any:
    import wreq

    client = wreq.Client()

    async def get(url: str) -> Any:
        return bytes(await (await client.get(url)).bytes())

    return await by_loop(urls, in_flight, get)


class _Raw(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, waiting: Iterator[str], found: list[Any], done: Any) -> None:
        self._waiting, self._found, self._done = waiting, found, done
        self._body: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        import httptools

        url = next(self._waiting, None)
        if url is None:
            self._transport.close()
            self._done.set_result(None)
            return
        self._parser = httptools.HttpResponseParser(self)
        target = url.partition("//")[2].partition("/")[2]
        self._transport.write(f"GET /{target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._found.append(json.loads(b"".join(self._body)))
        self._body = []
        asyncio.get_running_loop().call_soon(self._ask)


async def _raw(urls: list[str], in_flight: int) -> Any:
    loop = asyncio.get_running_loop()
    host, _, port = urls[0].split("/")[2].partition(":")
    waiting, found = iter(urls), []  # type: ignore[var-annotated]
    ends = [loop.create_future() for _ in range(in_flight)]
    for end in ends:
        await loop.create_connection(lambda end=end: _Raw(waiting, found, end), host, int(port))  # type: ignore[misc]
    await asyncio.gather(*ends)
    return found


def on_asyncio(main: Callable[..., Any]) -> Fetch:
    """Run it on Python's own loop."""
    return lambda urls, in_flight: asyncio.run(main(urls, in_flight))


def on_uvloop(main: Callable[..., Any]) -> Fetch:
    """Run it on uvloop."""
    import uvloop

    return lambda urls, in_flight: uvloop.run(main(urls, in_flight))


CLIENTS: dict[str, Callable[[], Fetch]] = {
    "requests": lambda: of_requests,
    "urllib3": lambda: of_urllib3,
    "niquests": lambda: of_niquests,
    "httpx": lambda: on_asyncio(_httpx),
    "aiohttp": lambda: on_asyncio(_aiohttp),
    "aiohttp, uvloop": lambda: on_uvloop(_aiohttp),
    "wreq": lambda: on_asyncio(_wreq),
    "pyreqwest": lambda: on_asyncio(_pyreqwest),
    "pyreqwest, uvloop": lambda: on_uvloop(_pyreqwest),
    "pycurl, threads": lambda: of_pycurl_threads,
    "pycurl, multi": lambda: of_pycurl,
    "raw: httptools, uvloop": lambda: on_uvloop(_raw),
}


def main() -> None:
    """Measure one client."""
    if len(sys.argv) == 1:
        print(json.dumps(list(CLIENTS)))
        return
    name, items, in_flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    fetch = CLIENTS[name]()
    # A process of its own each time: its first requests pay the imports and the connections.
    fetch(script.addresses(3_000_000_000, 200), in_flight)
    urls = script.addresses(2_000_000_000, items)
    start, used = time.perf_counter(), sum(os.times()[:2])
    found = fetch(urls, in_flight)
    seconds, cpu_s = time.perf_counter() - start, sum(os.times()[:2]) - used
    if len({each["id"] for each in found}) != items:
        raise SystemExit(f"{name} brought {len(found)} of {items} profiles")
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()
