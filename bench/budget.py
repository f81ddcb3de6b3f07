"""What the rate budget costs, and how much of it is used.

    python bench/budget.py [--rate 500] [--seconds 5] [--threads 25] [--processes 2]

Threads of several processes take permits and "send" requests of one millisecond. *Free* is a budget of
twice the offered rate, so that nothing waits and only its work is left; *bound* is a budget of half
the offered rate, so that its use shows. Without a Redis on the path (Debian: redis-server) the Redis
store is left out.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from bisect import bisect_right
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import machine, table

from fanfold.stages.fetching.budget import open_budget

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST_S = 0.001


@contextmanager
def redis() -> Iterator[str | None]:
    """Start a Redis; yield its URL, or None if it is not installed."""
    if shutil.which("redis-server") is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--loglevel", "notice"]
    with subprocess.Popen(["redis-server", *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            next(line for line in process.stdout or () if "Ready to accept" in line)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


@dataclass(frozen=True, slots=True)
class Load:
    """The requests of one process.

    Attributes:
        folder: Folder of the file store.
        url: The Redis; None: the file store.
        limit: The budget, requests a second; None: no budget.
        rate: Requests a second offered by this process.
        seconds: For how long.
        threads: Threads of the process.
        opened: Barrier at which the processes wait for each other.
    """

    folder: Path
    url: str | None
    limit: float | None
    rate: float
    seconds: float
    threads: int
    opened: Any


def offer(load: Load) -> tuple[list[float], float]:
    """Offer requests on a schedule; a late thread takes the next one at once.

    Returns:
        Monotonic times of the requests, and CPU seconds of this process.
    """
    sent: list[float] = []
    numbers = itertools.count()
    stop = threading.Event()
    with open_budget(load.folder, "bench", load.limit, None, redis_url=load.url) as budget:
        if load.limit is not None:
            budget.acquire(stop)  # connects to the store
        load.opened.wait(timeout=60)
        cpu, start = time.process_time(), time.monotonic()
        end = start + load.seconds

        def work() -> None:
            while (due := start + next(numbers) / load.rate) < end:
                time.sleep(max(0.0, due - time.monotonic()))
                permitted = load.limit is None or budget.acquire(stop)
                if time.monotonic() > end or not permitted:
                    return
                sent.append(time.monotonic())
                time.sleep(REQUEST_S)

        workers = [threading.Thread(target=work) for _ in range(load.threads)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
    return sent, time.process_time() - cpu


def fullest_second(sent: list[float]) -> int:
    """Return the most requests in any window of one second."""
    ordered = sorted(sent)
    return max(
        number - bisect_right(ordered, at - 1.0) for number, at in enumerate(ordered, start=1)
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=float, default=500, help="requests a second offered")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=25, help="of each process")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    rows = []
    context = get_context("spawn")
    with (
        redis() as url,
        tempfile.TemporaryDirectory() as name,
        context.Manager() as manager,
        ProcessPoolExecutor(given.processes, mp_context=context) as pool,
    ):
        opened = manager.Barrier(given.processes)
        stores = {"file": None, "Redis": url} if url else {"file": None}
        cases: list[tuple[str, str | None, float | None]] = [("none", None, None)]
        for store, address in stores.items():
            cases += [(f"{store}, free", address, 2.0), (f"{store}, bound", address, 0.5)]
        free = 0.0
        for number, (case, address, share) in enumerate(cases):
            limit = share * given.rate if share else None
            load = Load(
                Path(name, str(number)), address, limit, given.rate / given.processes,
                given.seconds, given.threads, opened,
            )  # fmt: skip
            sent, cpu = zip(*pool.map(offer, [load] * given.processes), strict=True)
            everything = [at for each in sent for at in each]
            rate = len(everything) / given.seconds
            free = free or rate
            used = rate / (limit if limit and share == 0.5 else free)
            rows.append(
                [
                    *(case, f"{limit:g}" if limit else "–", f"{rate:.0f}", f"{used:.1%}"),
                    str(fullest_second(everything)),
                    f"{1e6 * sum(cpu) / len(everything):.0f}",
                ]
            )
    print(machine())
    print(
        f"{given.rate:g} requests a second offered by {given.processes} × {given.threads} threads "
        f"for {given.seconds:g} s. Used: of the limit where bound, else of the rate without budget.\n"
    )
    header = ["budget", "limit/s", "requests/s", "used", "fullest second", "CPU µs a request"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
