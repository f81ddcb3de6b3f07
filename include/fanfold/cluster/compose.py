"""Compose, version 2 (``docker compose``) or 1.29 (``docker-compose``), with one way to call both."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fanfold.cluster import environment
from fanfold.errors import BadConfiguration, Inconsistent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Refused(Inconsistent):
    """A command of Docker or Compose failed; the message holds its own words."""


def _works(command: Sequence[str]) -> bool:
    """Whether a program is there and answers; a client without its plugin does not."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0


def find_compose() -> list[str]:
    """Return the command of Compose: ``docker compose`` where it is there.

    Raises:
        BadConfiguration: There is none.
    """
    for command in (["docker", "compose"], ["docker-compose"]):
        if _works(command):
            return command
    raise BadConfiguration(
        "The cluster needs Docker with Compose, and neither `docker compose` nor `docker-compose` "
        "answers. Install Compose, or use `make run` and `make up`, which need no Docker."
    )


@dataclass(frozen=True)
class Container:
    """A container of the cluster.

    Attributes:
        id: Its full id.
        name: Its name, such as ``fanfold_airflow-worker_1``.
        service: What it is, by the name in docker-compose.yaml.
        hostname: What it is called inside: how Airflow knows a worker.
        image: Id of its image.
        state: ``running``, ``exited``, …
        health: ``healthy``, ``unhealthy``, ``starting``, or empty where nothing checks it.
        exit_code: Of its last end; 0 while it runs.
        pid: Its first process, as the host sees it; 0 where it does not run.
    """

    id: str
    name: str
    service: str
    hostname: str
    image: str
    state: str
    health: str
    exit_code: int
    pid: int

    @property
    def well(self) -> bool:
        """Whether it runs, and is healthy where that is checked."""
        return self.state == "running" and self.health in {"", "healthy"}


@dataclass(frozen=True)
class Compose:
    """The cluster of one checkout and one .env.

    Attributes:
        folder: Where docker-compose.yaml lies.
        env_file: Its secrets and settings.
        overrides: Further compose files, relative to ``folder``.
        changed: Variables that go before those of the file.
    """

    folder: Path
    env_file: Path
    overrides: tuple[str, ...] = ()
    changed: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def variables(self) -> dict[str, str]:
        """What the .env holds, with the changes."""
        return {**environment.read(self.env_file), **self.changed}

    @property
    def project(self) -> str:
        """The name that all containers, networks and volumes begin with."""
        return self.variables.get("COMPOSE_PROJECT_NAME", self.folder.name)

    @cached_property
    def command(self) -> list[str]:
        """The words that every call of Compose begins with."""
        files = ["docker-compose.yaml", *self.overrides]
        named = [argument for name in files for argument in ("--file", str(self.folder / name))]
        return [
            *find_compose(),
            *named,
            *("--project-directory", str(self.folder)),
            *("--project-name", self.project),
            *("--env-file", str(self.env_file)),
        ]

    @cached_property
    def environ(self) -> dict[str, str]:
        """The variables of every call."""
        # A variable of the shell would go before the file's: secrets come from the file alone.
        outer = {name: value for name, value in os.environ.items() if name not in self.variables}
        return {**outer, **self.changed, "COMPOSE_PROFILES": self.profiles}

    @property
    def profiles(self) -> str:
        """The optional parts that run."""
        return self.variables.get("COMPOSE_PROFILES", "")

    def run(self, *arguments: str, quiet: bool = True) -> str:
        """Call Compose; return what it printed (empty unless ``quiet``).

        Raises:
            Refused: It failed.
        """
        return _call([*self.command, *arguments], self.environ, quiet=quiet)

    def docker(self, *arguments: str, quiet: bool = True) -> str:
        """Call Docker itself; return what it printed.

        Raises:
            Refused: It failed.
        """
        return _call(["docker", *arguments], self.environ, quiet=quiet)

    def containers(self, *services: str) -> list[Container]:
        """Return the containers of these services (all), also those that have ended.

        Raises:
            Refused: Docker does not answer.
        """
        label = f"label=com.docker.compose.project={self.project}"
        ids = self.docker("ps", "--all", "--no-trunc", "--quiet", "--filter", label).split()
        if not ids:
            return []
        found = [_container(told) for told in json.loads(self.docker("inspect", *ids))]
        chosen = [each for each in found if not services or each.service in services]
        return sorted(chosen, key=lambda each: each.name)

    def execute(self, container: Container, *command: str, user: str | None = None) -> str:
        """Run a command in a container; return what it printed.

        Raises:
            Refused: It failed.
        """
        as_user = [] if user is None else ["--user", user]
        return self.docker("exec", *as_user, container.id, *command)


def _container(told: dict[str, Any]) -> Container:
    state = told["State"]
    return Container(
        id=told["Id"],
        name=told["Name"].lstrip("/"),
        service=told["Config"]["Labels"]["com.docker.compose.service"],
        hostname=told["Config"]["Hostname"],
        image=told["Image"],
        state=state["Status"],
        health=state.get("Health", {}).get("Status", ""),
        exit_code=state["ExitCode"],
        pid=state["Pid"],
    )


def _call(command: list[str], variables: Mapping[str, str], *, quiet: bool) -> str:
    ended = subprocess.run(
        command,
        env=dict(variables),
        check=False,
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.PIPE if quiet else None,
    )
    if ended.returncode:
        said = (ended.stderr or "see above").strip()
        name = " ".join([command[0], *(word for word in command[1:] if not word.startswith("-"))])
        raise Refused(f"`{name[:120]}` ended with {ended.returncode}: {said[-2000:]}")
    return ended.stdout or ""
