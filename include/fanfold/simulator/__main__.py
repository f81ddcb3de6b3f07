"""``python -m fanfold.simulator``: run a simulator until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys

from fanfold.simulator.application import Application
from fanfold.simulator.options import Options, parse
from fanfold.simulator.server import serve


async def _run(options: Options) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    application = Application(options.settings)
    try:
        server, connections = await serve(application, options.host, options.port)
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return 1
    port = server.sockets[0].getsockname()[1]
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{port}"
    application.listens(url)
    ready = {"url": url, "host": options.host, "port": port, "pid": os.getpid()}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    if options.until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), _stop_at_end, stop)
    await stop.wait()
    server.close()
    for connection in list(connections):
        connection.close()
    await server.wait_closed()
    application.workers.stop()
    return 0


def _stop_at_end(stop: asyncio.Event) -> None:
    """Stop when stdin is closed: the parent process has ended."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(_run(parse())))
