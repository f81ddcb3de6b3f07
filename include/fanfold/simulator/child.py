"""Run a server as a child process: wait until it listens, stop it at the end."""

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
"""Maximum time until the server listens, in seconds."""
STOP_S = 5
"""Seconds from SIGTERM to SIGKILL."""


@contextmanager
def listening(
    command: Sequence[str], name: str, environment: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Run a server within a ``with`` block.

    Args:
        command: Command of the server. It prints a JSON object on its first line, and should exit
            when stdin closes, also if this process is killed.
        name: Name of the server in messages.
        environment: Additional environment variables.

    Yields:
        The JSON object, with the process id as ``pid``.

    Raises:
        BadConfiguration: The server did not start.
    """
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            # Own process group: Ctrl-C in the terminal must not stop the server.
            start_new_session=True,
        ) as process,
    ):
        try:
            yield {**json.loads(_first_line(process, name, errors)), "pid": process.pid}
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _first_line(process: subprocess.Popen[bytes], name: str, errors: IO[bytes]) -> bytes:
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - for the type checker
    if not select.select([stdout], [], [], START_S)[0]:
        raise BadConfiguration(f"{name} did not listen within {START_S} s.")
    line = stdout.readline()
    if not line:
        process.wait()
        errors.seek(0)
        output = errors.read().decode(errors="replace").strip().splitlines() or ["no output"]
        raise BadConfiguration(f"{name} did not start: {output[-1]}")
    return line
