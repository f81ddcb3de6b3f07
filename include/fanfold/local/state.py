"""What runs in a folder, written by the supervisor for others who look."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from fanfold.errors import Fatal
from fanfold.local.processes import birth
from fanfold.workspace import write_json

if TYPE_CHECKING:
    from pathlib import Path


class StackFailed(Fatal):
    """The embedded stack, or a run in it, did not do what was asked; the message says why."""


class Phase(StrEnum):
    """How far a stack is."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    birth: str

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Return the identity of a living process; of a dead one, an identity that never lives."""
        return cls(pid, birth(pid) or "gone")

    @classmethod
    def mine(cls) -> Identity:
        """Return this process's own identity."""
        return cls.of(os.getpid())

    @property
    def lives(self) -> bool:
        """Whether that very process still lives."""
        return birth(self.pid) == self.birth


@dataclass(frozen=True, slots=True)
class State:
    """What runs.

    Attributes:
        supervisor: The process that starts, watches and stops all others.
        owner: The program that the stack ends with (``make run``, a test); None after ``make up``.
        phase: How far it is.
        step: What happens now, for people.
        message: Why it failed, for people.
        airflow: Address of the UI and the REST API; empty until it is known.
        simulator: Address of the source.
        s3: Address of the S3 server.
        started_at: Seconds since 1970.
        processes: The session leaders that the supervisor started, by name.
        restarts: How often each of them had to be started again.
    """

    supervisor: Identity
    owner: Identity | None
    phase: Phase = Phase.STARTING
    step: str = ""
    message: str = ""
    airflow: str = ""
    simulator: str = ""
    s3: str = ""
    started_at: float = 0.0
    processes: dict[str, Identity] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write it whole."""
        write_json(path, asdict(self))

    @property
    def lives(self) -> bool:
        """Whether its supervisor lives; if not, the state is a leftover."""
        return self.supervisor.lives


def read(path: Path) -> State | None:
    """Return the state that was written, or None where none is or it cannot be understood."""
    try:
        data = json.loads(path.read_text("utf-8"))
        owner = data["owner"]
        return State(
            **{
                **data,
                "supervisor": Identity(**data["supervisor"]),
                "owner": Identity(**owner) if owner else None,
                "phase": Phase(data["phase"]),
                "processes": {name: Identity(**each) for name, each in data["processes"].items()},
            }
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
