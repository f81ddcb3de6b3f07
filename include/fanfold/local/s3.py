"""An S3 server on this machine, in a process of its own: moto's.

    python -m fanfold.local.s3 [--host A] [--port N] [--folder F] [--bucket B]
                                  [--until-stdin-closes]

prints one line of JSON with its address and process when it listens. It is meant for trying
Fanfold out and for tests: it takes any access key, so it listens on loopback unless it is told
otherwise (in a container, whose network keeps others away). With a folder, an
object that was acknowledged is there after the next start, in whatever way the server ended
(:mod:`.durable`); without one, everything is forgotten.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadConfiguration
from fanfold.simulator.child import listening

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class S3Server:
    """An S3 server that runs.

    Attributes:
        url: Its address without a slash at the end, such as ``http://127.0.0.1:40123``.
        access_key: An access key id for it.
        secret_key: The secret that belongs to the access key.
        pid: Its process.
    """

    url: str
    access_key: str
    secret_key: str
    pid: int


@contextmanager
def running_s3(
    *,
    port: int = 0,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[S3Server]:
    """Run an S3 server on loopback for the time of a ``with`` block.

    The process ends with the block, and also when this process is killed.

    Args:
        port: The port to listen on; 0 takes a free one.
        folder: Where objects lie that outlive the server; None: nowhere.
        environment: Variables for the server on top of this process's own, such as moto's options.

    Raises:
        BadConfiguration: It did not start; the message says why.
    """
    command = [sys.executable, "-m", __name__, "--port", str(port), "--until-stdin-closes"]
    if folder is not None:
        command += ["--folder", str(folder)]
    with listening(command, "The S3 server", environment) as ready:
        yield S3Server(
            url=ready["url"],
            access_key=f"FANFOLD{secrets.token_hex(6).upper()}",
            secret_key=secrets.token_urlsafe(24),
            pid=ready["pid"],
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve S3 until SIGTERM, SIGINT or, on request, the end of stdin."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: a free one")
    parser.add_argument("--folder", type=Path, help="where objects outlive the server")
    parser.add_argument("--bucket", help="created in the folder where it is missing")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when the starting process does"
    )
    options = parser.parse_args(arguments)

    # moto is an extra, and takes a second to import: only the server process needs it.
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    from fanfold.local.durable import Durable

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application: Any = DomainDispatcherApplication(create_backend_app)
    if options.folder is not None:
        try:
            application = Durable(application, options.folder)
        except BadConfiguration as error:
            sys.exit(str(error))
        if options.bucket:
            application.create_bucket(options.bucket)
    server = make_server(
        options.host,
        options.port,
        application,
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    os.environ["MOTO_PORT"] = str(server.server_port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    if options.until_stdin_closes:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    print(json.dumps({"url": f"http://{options.host}:{server.server_port}", "pid": os.getpid()}))
    sys.stdout.flush()
    server.serve_forever()


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
