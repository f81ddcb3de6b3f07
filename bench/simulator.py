"""How fast the simulator is: requests a second, and its CPU time for each.

    python bench/simulator.py [--seconds 3] [--rounds 3] [--connections 16]

The server is pinned to one core and the load generator to another where there are two. The generator
keeps raw connections open, each with one request under way, and asks for another user every time, so
that no response comes from a cache.
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
from figures import figure, machine, table

from fanfold.simulator.process import Simulator, running

if TYPE_CHECKING:
    from collections.abc import Iterator

PATHS = {
    "Weibo users/show": "/2/users/show.json?access_token={token}&uid={uid}",
    "Mastodon lookup": "/api/v1/accounts/lookup?acct=user{uid}",
}


async def ask(port: int, requests: Iterator[bytes], sizes: list[int], end: float) -> None:
    """Send one request after the other until the end; add the bytes of each response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        writer.write(next(requests))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"The simulator answered {head[:30]!r}")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        sizes.append(len(head) + length)
    writer.close()


async def measure(
    simulator: Simulator, path: str, seconds: float, connections: int
) -> tuple[float, float, float, float]:
    """Return requests a second, CPU ms a request, share of a core, and bytes a response."""
    port = int(simulator.url.rpartition(":")[2])
    head = "GET {} HTTP/1.1\r\nHost: simulator\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
    # A stride through the users, so that neighbours differ in every part of the profile.
    requests = (
        head.format(path.format(token=simulator.token, uid=1_000_000_000 + n * 7919)).encode()
        for n in count()
    )
    sizes: list[int] = []
    server = psutil.Process(simulator.pid)
    before, start = server.cpu_times(), time.perf_counter()
    await asyncio.gather(*(ask(port, requests, sizes, start + seconds) for _ in range(connections)))
    elapsed, after = time.perf_counter() - start, server.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    answered = len(sizes)
    return answered / elapsed, 1000 * cpu_s / answered, cpu_s / elapsed, sum(sizes) / answered


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    print(machine())
    rows = []
    with running() as simulator:
        available = sorted(os.sched_getaffinity(0))
        if len(available) > 1:
            os.sched_setaffinity(simulator.pid, {available[-1]})
            os.sched_setaffinity(0, {available[0]})
        for name, path in PATHS.items():
            rounds = [
                asyncio.run(measure(simulator, path, given.seconds, given.connections))
                for _ in range(given.rounds)
            ]
            rate, cpu_ms, busy, size = map(statistics.median, zip(*rounds, strict=True))
            rows.append(
                [
                    name,
                    figure(rate),
                    figure(cpu_ms),
                    figure(1000 / cpu_ms),
                    f"{busy:.0%}",
                    figure(size),
                ]
            )
    header = ["path", "requests/s", "CPU ms a request", "of one core/s", "core busy", "bytes"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
