"""A process that asks as fast as its budget allows: threads with a connection each.

    python asking.py '{"port": ..., "folder": ..., "seconds": ..., ...}'

It asks for ``seconds``, or until it is killed, and prints how many requests it made and what stopped
it.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path

from fanfold.errors import FanfoldError
from fanfold.stages.fetching.budget import open_budget


def main(
    *,
    port,
    folder,
    seconds,
    per_second=None,
    per_hour=None,
    redis_url=None,
    threads=20,
    patience=60.0,
    name="",
):
    request = f"GET /{name} HTTP/1.1\r\nHost: counting\r\n\r\n".encode()
    stop = threading.Event()
    ready = threading.Barrier(threads + 1)
    made = [0] * threads
    errors = []

    def ask(number):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.wait()
            try:
                while budget.acquire(stop):
                    connection.sendall(request)
                    connection.recv(4096)
                    made[number] += 1
            except FanfoldError as error:
                errors.append(f"{type(error).__name__}: {error}")
                stop.set()

    with open_budget(
        Path(folder),
        "weibo_default",
        per_second,
        per_hour,
        redis_url=redis_url,
        patience=patience,
    ) as budget:
        crew = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
        for thread in crew:
            thread.start()
        ready.wait()
        print("asking", flush=True)  # noqa: T201 - whoever started it waits for this
        stop.wait(seconds)
        stop.set()
        for thread in crew:
            thread.join()
    late = getattr(budget, "late", 0)
    print(json.dumps({"made": sum(made), "errors": errors, "late": late}))  # noqa: T201


main(**json.loads(sys.argv[1]))
