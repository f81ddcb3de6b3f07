"""A process that sends requests as fast as its rate limit allows, on one connection per thread.

    python client.py '{"port": ..., "folder": ..., "seconds": ..., ...}'

It prints a line when it starts, and its errors as JSON when it stops after ``seconds``.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path

from fanfold.errors import FanfoldError
from fanfold.rate_limit import open_rate_limiter


def main(*, port, folder, seconds, per_second=None, per_hour=None, threads=20, name="", **options):
    request = f"GET /{name} HTTP/1.1\r\nHost: counting\r\n\r\n".encode()
    stop = threading.Event()
    ready = threading.Barrier(threads + 1)
    errors = []

    def send():
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.wait()
            try:
                while limiter.acquire(stop):
                    connection.sendall(request)
                    connection.recv(4096)
            except FanfoldError as error:
                errors.append(f"{type(error).__name__}: {error}")
                stop.set()

    limits = (per_second, per_hour)
    with open_rate_limiter(Path(folder), "weibo_default", *limits, **options) as limiter:
        workers = [threading.Thread(target=send) for _ in range(threads)]
        for worker in workers:
            worker.start()
        ready.wait()
        print("sending", flush=True)  # noqa: T201 - read by the test
        stop.wait(seconds)
        stop.set()
        for worker in workers:
            worker.join()
    print(json.dumps(errors))  # noqa: T201


main(**json.loads(sys.argv[1]))
