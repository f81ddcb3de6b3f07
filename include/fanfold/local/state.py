"""The state file of a stack, written by its supervisor and read by other programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from fanfold.errors import Fatal
from fanfold.workspace.files import write_json

if TYPE_CHECKING:
    from pathlib import Path


class StackFailed(Fatal):
    """A local stack, or a request to it, failed; the message has the reason."""


class Phase(StrEnum):
    """The phase of a stack."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class State:
    """What runs in a folder."""

    supervisor: int  # its process id
    owner: int | None  # process id of `make run` or a test; None: `make up`
    airflow: str  # address of the UI and the REST API
    simulator: str
    s3: str
    started_at: float  # Unix time in seconds
    phase: Phase = Phase.STARTING
    message: str = ""  # why the stack failed
    processes: dict[str, int] = field(default_factory=dict)  # process ids by component

    def write(self, path: Path) -> None:
        """Replace the state file atomically."""
        write_json(path, asdict(self))


def read(path: Path) -> State | None:
    """Return the state in a file, or None if there is none or it is unreadable."""
    try:
        data = json.loads(path.read_text("utf-8"))
        return State(**{**data, "phase": Phase(data["phase"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
