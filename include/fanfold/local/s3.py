"""An S3 server on this machine, in a process of its own: moto's S3 application, nothing else of moto.

    S3_ACCESS_KEY=… S3_SECRET_KEY=… python -m fanfold.local.s3
        [--host A] [--name N] [--port N] [--folder F] [--bucket B] [--until-stdin-closes]

It prints one line of JSON with its address and process id when it listens. It answers only requests
that are signed with the key pair and that no web page of another origin sent (:mod:`.signatures`).
With a folder, it saves the buckets there when it is stopped and loads them at the next start; a
SIGKILL loses the changes since the start.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import secrets
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.simulator.child import listening
from fanfold.workspace.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 server: its address without a trailing slash, the key pair that it accepts."""

    url: str
    access_key: str
    secret_key: str
    pid: int


@contextmanager
def running_s3(*, port: int = 0, folder: Path | None = None) -> Iterator[S3Server]:
    """Run an S3 server on loopback for the duration of a ``with`` block.

    The process ends with the block, and also when this process is killed. Port 0 chooses a free
    port; with a folder, the buckets are saved there when the server is stopped.

    Raises:
        BadConfiguration: It did not start; the message has the reason.
    """
    command = [sys.executable, "-m", __name__, "--port", str(port), "--until-stdin-closes"]
    if folder is not None:
        command += ["--folder", str(folder)]
    access_key, secret_key = f"FANFOLD{secrets.token_hex(6).upper()}", secrets.token_urlsafe(24)
    environment = {"S3_ACCESS_KEY": access_key, "S3_SECRET_KEY": secret_key}
    with listening(command, "The S3 server", environment) as ready:
        yield S3Server(ready["url"], access_key, secret_key, ready["pid"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve S3 until SIGTERM, SIGINT or, on request, the end of stdin."""
    parser = argparse.ArgumentParser(prog="python -m fanfold.local.s3", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    name = "other host name that requests may be for; may be repeated"
    parser.add_argument("--name", action="append", default=[], help=name)
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: a free one")
    parser.add_argument("--folder", type=Path, help="where buckets are saved at a stop")
    parser.add_argument("--bucket", help="created if it does not exist")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when the parent process ends"
    )
    options = parser.parse_args(arguments)
    access_key, secret_key = map(os.environ.get, ("S3_ACCESS_KEY", "S3_SECRET_KEY"))
    if not (access_key and secret_key):
        sys.exit("Set S3_ACCESS_KEY and S3_SECRET_KEY: the key pair that this server accepts.")

    # moto is an extra and takes a second to import: only the server process needs it.
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from moto.s3.models import s3_backends
    from werkzeug.serving import make_server

    from fanfold.local.signatures import SignedOnly

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    backend: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    saved = options.folder and options.folder / f"buckets-moto-{version('moto')}.pickle"
    if saved:
        backend.buckets = _load(saved)
    if options.bucket and options.bucket not in backend.buckets:
        backend.create_bucket(options.bucket, "us-east-1")
    names = {options.host, "localhost", *options.name}
    server = make_server(
        options.host,
        options.port,
        SignedOnly(create_backend_app("s3"), access_key, secret_key, names),
        threaded=True,
        request_handler=MotoRequestHandler,
    )

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if options.until_stdin_closes:
        threading.Thread(target=lambda: stop(sys.stdin.buffer.read()), daemon=True).start()
    print(json.dumps({"url": f"http://{options.host}:{server.server_port}", "pid": os.getpid()}))
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.1)
    if saved:
        with whole_file(saved) as temporary, temporary.open("wb") as file:
            pickle.dump(backend.buckets, file)
    os._exit(0)  # threads of open connections do not matter any more


def _load(saved: Path) -> Any:
    """Return the saved buckets; empty at the first start, and for another version of moto."""
    try:
        saved.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return pickle.loads(saved.read_bytes()) if saved.exists() else {}  # noqa: S301 - our own
    except Exception as error:  # noqa: BLE001 - whatever pickle raises for a damaged file
        sys.exit(f"{saved} is damaged or unusable ({error}); delete it and publish again.")


if __name__ == "__main__":
    main()
