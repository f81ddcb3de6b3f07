"""Import a big program once, then fork it as often as it is needed (Linux).

Airflow takes more than three seconds to import on a small machine, and a stack needs it five
times: scheduler, dag-processor, triggerer, api-server and the command that triggers the run. Forked
from one process that has imported it, each begins at once, and they share its memory.

A client connects to a socket in the stack's folder and sends one line of JSON, a :class:`Request`;
it gets ``{"pid": 1234}`` at once and ``{"code": 0}`` when the program ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fanfold.local.processes import end_with_parent
from fanfold.local.state import StackFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

SOCKET = "forkserver.sock"
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
READY = "forkserver.ready"
"""Appears in the folder when the fork server listens."""


@dataclass(frozen=True, slots=True)
class Request:
    """A program to run.

    Attributes:
        argv: Its name and arguments.
        log: The file that stdout and stderr are added to.
        reload: Modules that look at ``sys.argv`` when they are imported: imported again.
    """

    argv: list[str]
    log: str
    reload: list[str]


class Program:
    """A program that was forked; seen from the client."""

    def __init__(self, folder: Path, request: Request) -> None:
        """Start it.

        Raises:
            StackFailed: No fork server listens in this folder.
        """
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            # A socket's path has at most 108 bytes, a folder's any number.
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._socket.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
            finally:
                os.close(descriptor)
            self._socket.sendall(json.dumps(asdict(request)).encode() + b"\n")
            self._lines = self._socket.makefile("rb")
            self.pid: int = self._next()["pid"]
        except (OSError, ValueError, KeyError) as error:
            self._socket.close()
            raise StackFailed(f"The fork server in {folder} does not answer: {error}") from error
        self._code: int | None = None

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._lines.readline() or b'{"code": -1}')
        return message

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        if self._code is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                if selector.select(0):
                    self._code = int(self._next()["code"])
        return self._code

    def wait(self, timeout: float) -> int | None:
        """Wait for its end for at most ``timeout`` seconds; return its exit code."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            if self._code is None:
                selector.select(timeout)
        return self.poll()

    def close(self) -> None:
        """Forget it; it runs on."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server:
    def __init__(self, folder: Path) -> None:
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, socket.socket] = {}
        os.chdir(folder)
        Path(SOCKET).unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(SOCKET)
        Path(SOCKET).chmod(0o600)
        self._wake, sender = socket.socketpair()
        sender.setblocking(False)  # noqa: FBT003 - the library's signature
        self._sender = sender

    def serve(self, main: tuple[str, str]) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._listener.listen()
        Path(READY).touch()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept(main)
                else:
                    self._wake.recv(4096)
                    self._collect()

    def _accept(self, main: tuple[str, str]) -> None:
        client, _ = self._listener.accept()
        client.settimeout(10)
        try:
            with client.makefile("rb") as lines:
                request = Request(**json.loads(lines.readline()))
        except (OSError, ValueError, TypeError):
            client.close()
            return
        # A signal for the child waits until the child has handlers of its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            self._become(request, client, main)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self._children[pid] = client
        _tell(client, {"pid": pid})

    def _collect(self) -> None:
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                client = self._children.pop(pid)
                _tell(client, {"code": os.waitstatus_to_exitcode(status)})
                client.close()

    def _become(self, request: Request, client: socket.socket, main: tuple[str, str]) -> None:
        """Be the program; never returns."""
        code = 1
        try:
            end_with_parent()
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            for each in (
                client,
                self._listener,
                self._wake,
                self._sender,
                *self._children.values(),
            ):
                each.close()
            self._selector.close()
            _speak_into(request.log)
            code = _run(request, main)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            if isinstance(error.code, str):
                sys.stderr.write(f"{error.code}\n")
        except BaseException:  # noqa: BLE001 - a program says why it ends, whatever it is
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            _exit(code)


def _exit(code: int) -> None:
    """End as a program ends, with its exit handlers, but not into the server's own frames."""
    import atexit

    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()  # noqa: SLF001 - what os._exit leaves out
    os._exit(code)


def _speak_into(path: str) -> None:
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


def _run(request: Request, main: tuple[str, str]) -> int:
    sys.argv = list(request.argv)
    for name in request.reload:
        importlib.reload(importlib.import_module(name))
    module, function = main
    result = getattr(importlib.import_module(module), function)()
    return result if isinstance(result, int) else 0


def _tell(client: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        client.sendall(json.dumps(message).encode() + b"\n")


def serve(folder: Path, main: str, preload: Sequence[str]) -> None:
    """Import ``preload``, then listen in ``folder`` and run ``main`` (``module:function``)."""
    for name in preload:
        importlib.import_module(name)
    module, _, function = main.partition(":")
    server = _Server(folder)
    gc.freeze()  # the collector of a child must not touch, and so copy, what all share
    server.serve((module, function))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
