"""A server as a child process: wait until it says where it listens, stop it when done."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

START_S = 60
"""Seconds that a server may take to listen."""
STOP_S = 5
"""Seconds from SIGTERM to SIGKILL."""


@contextmanager
def listening(
    command: Sequence[str], name: str, environment: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Run a server for the time of a ``with`` block and yield what it said.

    Args:
        command: Starts it; its first line on stdout is a JSON object. It should end when its stdin
            closes, which happens also when this process is killed.
        name: What it is, for messages.
        environment: Variables on top of this process's own.

    Yields:
        The object, with the process's id as ``pid``.

    Raises:
        BadConfiguration: It did not start; the message says why.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            # Ctrl-C in a terminal goes to the whole group: the owner decides when this one ends.
            start_new_session=True,
        )
        try:
            yield {**json.loads(_first_line(process, name, errors)), "pid": process.pid}
        finally:
            _stop(process)


def _first_line(process: subprocess.Popen[bytes], name: str, errors: IO[bytes]) -> bytes:
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - for the type checker
    if not select.select([stdout], [], [], START_S)[0]:
        raise BadConfiguration(f"{name} does not listen after {START_S} s.")
    line = stdout.readline()
    if not line:
        process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines() or ["nothing"]
        raise BadConfiguration(f"{name} did not start; it said: {said[-1]}")
    return line


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
