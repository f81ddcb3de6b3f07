"""What the shared rate limit costs: throughput with and without it, and calls of its store.

    python bench/budget.py [--offered 500] [--seconds 5] [--rounds 3] [--threads 50]

Threads offer requests on a schedule to a server that records arrivals and answers after a
millisecond. "Bound" is a limit equal to the offered rate, so its margin counts as cost; "free" is a
limit twice as high, so only its work is left. Without redis-server (Debian: apt-get install
redis-server) its rows are left out.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_right
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.rate_limit import SYSTEM_CLOCK, Unlimited
from fanfold.rate_limit.file_store import FileStore
from fanfold.rate_limit.limiter import SharedRateLimiter
from fanfold.rate_limit.redis_store import RedisStore
from fanfold.rate_limit.sliding_window import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrate_limiter import Decision

    from fanfold.rate_limit import RateLimiter
    from fanfold.rate_limit.limiter import Store

SERVER = Path(__file__).parents[1] / "tests/integration/rate_limit/counting_server.py"
REQUEST = b"GET / HTTP/1.1\r\nHost: counting\r\n\r\n"


class Measured:
    """A store that counts its calls and times those that take permits."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.takes: list[float] = []
        self.calls = 0

    def check(self, *arguments: Any) -> Decision:
        """Take permits, and note how long it took."""
        self.calls += 1
        start = time.perf_counter()
        decision = self.store.check(*arguments)
        if decision.allowed:
            self.takes.append(time.perf_counter() - start)
        return decision

    def paused(self) -> tuple[float, str]:
        """Count."""
        self.calls += 1
        return self.store.paused()

    def pause(self, seconds: float, reason: str) -> None:
        """Pass on."""
        self.store.pause(seconds, reason)

    def close(self) -> None:
        """Pass on."""
        self.store.close()


@contextmanager
def child(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the block ends."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def redis() -> Iterator[str | None]:
    """Start a Redis; yield its URL, or None where there is none."""
    if shutil.which("redis-server") is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--loglevel", "notice"]
    with child(["redis-server", *options]) as process:
        lines = process.stdout or ()
        for line in lines:
            if "Ready to accept connections" in line:
                break
        yield f"redis://127.0.0.1:{port}/0"


def stamps(port: int) -> list[int]:
    """Return when requests arrived since the last call, in nanoseconds."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/stamps")
        return sorted(json.loads(connection.getresponse().read()).get("/", []))


def offer(limiter: RateLimiter, port: int, rate: float, seconds: float, threads: int) -> None:
    """Offer requests on a schedule; a thread that is late takes the next one at once."""
    stop = threading.Event()
    numbers = itertools.count()
    start = time.monotonic() + 0.2

    def work() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (due := next(numbers) / rate) < seconds:
                time.sleep(max(0.0, start + due - time.monotonic()))
                if time.monotonic() > start + seconds or not limiter.acquire(stop):
                    return
                connection.sendall(REQUEST)
                connection.recv(4096)

    crew = [threading.Thread(target=work) for _ in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()


def run(store: Measured | None, limits: Limits, port: int, args: Any) -> dict[str, float]:
    """Return the figures of one run."""
    limiter = SharedRateLimiter(store, limits, 60.0, SYSTEM_CLOCK) if store else Unlimited()
    cpu = time.process_time()
    offer(limiter, port, args.offered, args.seconds, args.threads)
    cpu = time.process_time() - cpu
    arrived = stamps(port)
    if store:
        store.close()
    return {
        "rate": len(arrived) / args.seconds,
        "busiest": fullest_second([at / 1e9 for at in arrived]),
        "cpu": cpu / len(arrived) * 1e6,
        "takes": len(store.takes) / args.seconds if store else 0,
        "calls": store.calls / args.seconds if store else 0,
        "take": statistics.median(store.takes) * 1e6 if store and store.takes else 0,
    }


def fullest_second(arrivals: list[float]) -> int:
    """Return the largest number of arrivals (seconds, ascending) in any window of a second."""
    return max(
        (number - bisect_right(arrivals, last - 1) for number, last in enumerate(arrivals, 1)),
        default=0,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--offered", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=50)
    args = parser.parse_args()
    with (
        child([sys.executable, str(SERVER)]) as server,
        redis() as url,
        tempfile.TemporaryDirectory() as name,
    ):
        port = int(server.stdout.readline()) if server.stdout else 0
        places: dict[str, Callable[[], Store]] = {
            "file": lambda: FileStore(Path(name, "bench.json"), SYSTEM_CLOCK.now)
        }
        if url:
            places["Redis"] = partial(RedisStore.at, url, "bench")
        bound, free = Limits(args.offered, None), Limits(2 * args.offered, None)
        cases: list[tuple[str, Callable[[], Store] | None, Limits]] = [("none", None, bound)]
        for place, make in places.items():
            cases += [
                (f"{place}, bound", make, bound),
                (f"{place}, free", make, free),
                (f"{place}, pauses only", make, Limits(None, None)),
            ]
        rounds: dict[str, list[dict[str, float]]] = {case: [] for case, _, _ in cases}
        for _ in range(args.rounds):
            for case, maker, limits in cases:
                store = Measured(maker()) if maker else None
                rounds[case].append(run(store, limits, port, args))
        print(
            f"{args.offered:g} requests a second offered by {args.threads} threads for "
            f"{args.seconds:g} s, medians of {args.rounds} rounds\n"
        )
        print("| limit | requests/s | of none | fullest second | CPU µs/request "
              "| takes/s | store calls/s | µs/take |")  # fmt: skip
        print("|---|---|---|---|---|---|---|---|")
        without = statistics.median(one["rate"] for one in rounds["none"])
        for case, each in rounds.items():
            m = {key: statistics.median(one[key] for one in each) for key in each[0]}
            print(
                f"| {case} | {m['rate']:.0f} | {m['rate'] / without:.1%} | {m['busiest']:.0f} | "
                f"{m['cpu']:.0f} | {m['takes']:.0f} | {m['calls']:.0f} | {m['take']:.0f} |"
            )


if __name__ == "__main__":
    main()
