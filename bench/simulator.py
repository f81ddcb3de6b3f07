"""How fast the simulator is: requests a second, and what each costs the server's processor.

    python bench/simulator.py [--seconds 3] [--rounds 3] [--connections 16]

The server is pinned to one core and the load generator to another where there are two. The
generator is raw keep-alive connections on asyncio, each with one request under way, and asks for
another uid every time, so nothing can be answered from a cache. Warm-up is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from itertools import count
from typing import TYPE_CHECKING

import psutil

from fanfold.simulator.process import Simulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

PATHS = {
    "Weibo users/show": "/2/users/show.json?access_token={token}&uid={uid}",
    "Mastodon lookup": "/api/v1/accounts/lookup?acct=user{uid}",
}


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._buffer = b""
        self.answered = 0
        self.bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Ask first."""
        self.transport = transport
        transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Ask again when the answer is whole."""
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"The simulator answered {head[:30]!r}")
        self.answered += 1
        self.bytes += len(self._buffer)
        self._buffer = b""
        self.transport.write(next(self._requests))


async def measure(
    simulator: Simulator, path: str, seconds: float, connections: int
) -> dict[str, float]:
    """One round; returns requests a second, bytes an answer and CPU seconds by 1,000 requests."""
    port = int(simulator.url.rpartition(":")[2])
    head = "GET {} HTTP/1.1\r\nHost: simulator\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
    # A stride through the uids, so that neighbours differ in every part of the profile.
    requests = (
        head.format(path.format(token=simulator.token, uid=1_000_000_000 + n * 7919)).encode()
        for n in count()
    )
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(requests), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(0.3)  # warm up
    server = psutil.Process(simulator.pid)
    before = server.cpu_times()
    answered = sum(client.answered for client in clients)
    size = sum(client.bytes for client in clients)
    start = time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - start
    after = server.cpu_times()
    answered = sum(client.answered for client in clients) - answered
    size = sum(client.bytes for client in clients) - size
    for client in clients:
        client.transport.abort()
    cpu_s = after.user + after.system - before.user - before.system
    return {
        "rate": answered / elapsed,
        "cpu_s": cpu_s / answered * 1000,
        "busy": cpu_s / elapsed,
        "bytes": size / answered,
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    with running() as simulator:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
        if len(cores) > 1:
            os.sched_setaffinity(simulator.pid, {cores[-1]})
            os.sched_setaffinity(0, {cores[0]})
        print(
            f"{given.connections} connections, {given.rounds} rounds of {given.seconds:g} s, medians"
        )
        print(
            f"{'path':<18} {'requests/s':>10} {'CPU s/1,000':>12} {'core busy':>10} "
            f"{'1 core/s':>9} {'bytes':>6}"
        )
        for name, path in PATHS.items():
            rounds = [
                asyncio.run(measure(simulator, path, given.seconds, given.connections))
                for _ in range(given.rounds)
            ]
            median = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
            print(
                f"{name:<18} {median['rate']:>10,.0f} {median['cpu_s']:>12.3f} "
                f"{median['busy']:>10.0%} {1000 / median['cpu_s']:>9,.0f} {median['bytes']:>6,.0f}"
            )


if __name__ == "__main__":
    main()
