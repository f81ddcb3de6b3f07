"""Calls of ``docker compose`` for one checkout and one .env file."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from fanfold.cluster import environment
from fanfold.errors import BadConfiguration, Inconsistent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OLDEST = (2, 21)
"""The first version whose ``ps --format json`` prints one object a line."""


class CommandFailed(Inconsistent):
    """A command of Docker failed; the message has the end of its stderr."""


def require_compose() -> None:
    """Check that Docker Compose is installed.

    Raises:
        BadConfiguration: It is missing or too old.
    """
    try:
        version = _call(["docker", "compose", "version", "--short"])
    except (CommandFailed, FileNotFoundError):
        version = "0"
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < OLDEST:
        raise BadConfiguration(
            "The cluster needs `docker compose` 2.21 or newer: see docs/operations.md, "
            "Requirements. `make run` and `make up` need no Docker."
        )


@dataclass(frozen=True)
class Compose:
    """The cluster of one checkout.

    Attributes:
        folder: The folder of docker-compose.yaml.
        env_file: Its secrets and settings (absolute path).
        overrides: Variables that take precedence over those in the file.
    """

    folder: Path
    env_file: Path
    overrides: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def variables(self) -> dict[str, str]:
        """The variables of the .env file, with the overrides."""
        return {**environment.read(self.env_file), **self.overrides}

    def run(
        self,
        *arguments: str,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int | None = subprocess.PIPE,
    ) -> str:
        """Run ``docker compose``; return its stdout.

        Args:
            arguments: The subcommand and its arguments.
            stdin: A file to read from.
            stdout: A file to write to; None: the terminal, stderr included.

        Raises:
            CommandFailed: It exited with an error.
        """
        # Compose prefers the shell's variables to the file's; secrets must come from the file.
        shell = {name: value for name, value in os.environ.items() if name not in self.variables}
        return _call(
            ["docker", "compose", "--env-file", str(self.env_file), *arguments],
            cwd=self.folder,
            env={**shell, **self.overrides},
            stdin=stdin,
            stdout=stdout,
        )

    def execute(self, service: str, *command: str, **files: IO[bytes]) -> str:
        """Run a command in a container of a service; return its stdout.

        Raises:
            CommandFailed: It exited with an error, or the service is not running.
        """
        return self.run("exec", "--no-TTY", service, *command, **files)

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """Return the containers of these services (default: all) as ``ps --format json`` has them.

        Raises:
            CommandFailed: Docker does not answer.
        """
        lines = self.run("ps", "--all", "--no-trunc", "--format", "json", *services).splitlines()
        return sorted((json.loads(line) for line in lines), key=lambda each: each["Name"])


def docker(*arguments: str, stdout: int | None = subprocess.PIPE) -> str:
    """Run ``docker``; return its stdout, or with None print it.

    Raises:
        CommandFailed: It exited with an error.
    """
    return _call(["docker", *arguments], stdout=stdout)


def _call(command: list[str], **options: Any) -> str:
    options.setdefault("stdout", subprocess.PIPE)
    stderr = None if options["stdout"] is None else subprocess.PIPE
    ended = subprocess.run(command, check=False, stderr=stderr, **options)
    if ended.returncode:
        message = (ended.stderr or b"see above").decode("utf-8", "replace").strip()
        words = " ".join(word for word in command if not word.startswith(("-", "/")))
        raise CommandFailed(f"`{words[:120]}` exited with {ended.returncode}: {message[-2000:]}")
    return (ended.stdout or b"").decode("utf-8", "replace")
