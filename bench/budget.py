"""What the shared rate budget costs: throughput with it and without, and the price of a lease.

    python bench/budget.py [--offered 500] [--seconds 5] [--rounds 3] [--threads 50]

Threads offer requests on a schedule, so many a second, to a server that counts and answers after a
millisecond. "Bound" is a budget of as many as are offered, whose margin counts as its cost; "free"
is one of twice as many, which never makes anybody wait, so that only its work is left. Without a
Redis on the path (Debian: apt-get install redis-server) its rows are left out.
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
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.stages.fetching.budget import Unlimited
from fanfold.stages.fetching.budget.file_store import FileStore, Instant, machine_clock
from fanfold.stages.fetching.budget.gate import SharedBudget
from fanfold.stages.fetching.budget.pacing import HOUR, SECOND, Lease, Terms
from fanfold.stages.fetching.budget.redis_store import RedisStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fanfold.stages.fetching.budget import Budget
    from fanfold.stages.fetching.budget.store import Answer, Store

SERVER = Path(__file__).parents[1] / "tests/integration/fetching/counting_server.py"
REQUEST = b"GET / HTTP/1.1\r\nHost: counting\r\n\r\n"


@dataclass
class Measured:
    """A store that counts and times its calls."""

    store: Store
    leases: list[float] = field(default_factory=list)
    calls: int = 0

    def take(self, wanted: int, unused: Sequence[int], slack: int) -> Answer:
        """Lease, and note how long it took."""
        self.calls += 1
        start = time.perf_counter()
        answer = self.store.take(wanted, unused, slack)
        if isinstance(answer.given, Lease):
            self.leases.append(time.perf_counter() - start)
        return answer

    def move(self, slot: int, slack: int) -> Answer:
        """Count."""
        self.calls += 1
        return self.store.move(slot, slack)

    def look(self) -> Answer:
        """Count."""
        self.calls += 1
        return self.store.look()

    def hold(self, seconds: float, reason: str) -> None:
        """Pass on."""
        self.store.hold(seconds, reason)

    def give_back(self, unused: Sequence[int]) -> None:
        """Pass on."""
        self.store.give_back(unused)

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


def offer(budget: Budget, port: int, rate: float, seconds: float, threads: int) -> None:
    """Offer requests on a schedule; a thread that is late takes the next one at once."""
    stop = threading.Event()
    numbers = itertools.count()
    start = time.monotonic() + 0.2

    def work() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (due := next(numbers) / rate) < seconds:
                time.sleep(max(0.0, start + due - time.monotonic()))
                if time.monotonic() > start + seconds or not budget.acquire(stop):
                    return
                connection.sendall(REQUEST)
                connection.recv(4096)

    crew = [threading.Thread(target=work) for _ in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()


def run(store: Measured | None, terms: Terms, port: int, args: Any) -> dict[str, float]:
    """Return the figures of one run."""
    budget = SharedBudget(store, "bench", terms, 60.0) if store else Unlimited()
    cpu = time.process_time()
    offer(budget, port, args.offered, args.seconds, args.threads)
    cpu = time.process_time() - cpu
    arrived = stamps(port)
    if isinstance(budget, SharedBudget):
        budget.close()
    busiest = max(
        number - next(i for i, at in enumerate(arrived) if at > last - 1_000_000_000)
        for number, last in enumerate(arrived, 1)
    )
    return {
        "rate": len(arrived) / args.seconds,
        "busiest": busiest,
        "cpu": cpu / len(arrived) * 1e6,
        "leases": len(store.leases) / args.seconds if store else 0,
        "calls": store.calls / args.seconds if store else 0,
        "lease": statistics.median(store.leases) * 1e6 if store and store.leases else 0,
    }


def acquire_cost(budget: Budget, times: int) -> float:
    """Return the median microseconds of an acquire that does not wait, asked by one thread."""
    stop = threading.Event()
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        budget.acquire(stop)
        spent.append(time.perf_counter() - start)
    return statistics.median(spent) * 1e6


def hour_cost(path: Path) -> tuple[int, float]:
    """Return bytes of the file, and median microseconds of a lease, late in an hour of 100,000."""
    now = 0
    terms = Terms.of(500, 100_000)
    store = FileStore(path, terms, lambda: Instant("bench", now, now))
    spent = []
    while now < HOUR:
        start = time.perf_counter()
        given = store.take(14, (), 0).given
        if now > HOUR * 0.95:
            spent.append(time.perf_counter() - start)
        now += given.wait if not isinstance(given, Lease) else SECOND // 2
    return path.stat().st_size, statistics.median(spent) * 1e6


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
        folder = Path(name)
        places: dict[str, Callable[[Terms], Store]] = {
            "file": lambda terms: FileStore(folder / "bench.json", terms, machine_clock())
        }
        if url:
            address = url
            places["Redis"] = lambda terms: RedisStore.at(address, "bench", terms)
        bound, free = Terms.of(args.offered, None), Terms.of(2 * args.offered, None)
        cases: list[tuple[str, Callable[[Terms], Store] | None, Terms]] = [("none", None, bound)]
        for place, make in places.items():
            cases += [
                (f"{place}, bound", make, bound),
                (f"{place}, free", make, free),
                (f"{place}, holds only", make, Terms.of(None, None)),
            ]
        rounds: dict[str, list[dict[str, float]]] = {case: [] for case, _, _ in cases}
        for _ in range(args.rounds):
            for case, maker, terms in cases:
                store = Measured(maker(terms)) if maker else None
                rounds[case].append(run(store, terms, port, args))
        print(
            f"{args.offered:g} requests a second offered by {args.threads} threads for "
            f"{args.seconds:g} s, medians of {args.rounds} rounds\n"
        )
        print("| budget | requests/s | of none | fullest second | CPU µs/request "
              "| leases/s | round trips/s | µs/lease |")  # fmt: skip
        print("|---|---|---|---|---|---|---|---|")
        without = statistics.median(one["rate"] for one in rounds["none"])
        for case, each in rounds.items():
            m = {key: statistics.median(one[key] for one in each) for key in each[0]}
            print(
                f"| {case} | {m['rate']:.0f} | {m['rate'] / without:.1%} | {m['busiest']:.0f} | "
                f"{m['cpu']:.0f} | {m['leases']:.0f} | {m['calls']:.0f} | {m['lease']:.0f} |"
            )
        print("\nAn acquire that does not wait, by one thread, median µs:")
        print(f"  none: {acquire_cost(Unlimited(), 2000):.1f}")
        for place, make in places.items():
            for label, terms in (
                ("counted", Terms.of(100_000, None)),
                ("holds only", Terms.of(None, None)),
            ):
                with closing(SharedBudget(make(terms), "bench", terms, 60.0)) as budget:
                    print(f"  {place}, {label}: {acquire_cost(budget, 1000):.1f}")
        size, lease = hour_cost(folder / "hour.json")
        print(
            f"\nLate in an hour of 100,000 requests: file of {size:,} bytes, {lease:.0f} µs a lease"
        )


if __name__ == "__main__":
    main()
