"""Why tasks of a run failed: a file for each task or mapped instance, written by its last failed try."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from fanfold.messages import Message
from fanfold.workspace.files import read_as, write_json
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class TaskError:
    """The error that ended a try of a task.

    Attributes:
        task_id: The task.
        map_index: Its mapped instance, or -1.
        try_number: The try.
        at: When it ended (ISO 8601, UTC).
        message: What happened, and what to do.
        connection: Airflow connection that it is about, or "".
    """

    task_id: str
    map_index: int
    try_number: int
    at: str
    message: Message
    connection: str = ""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return what :func:`write_error` wrote."""
        return cls(**{**data, "message": Message(**data["message"])})


def write_error(workspace: Workspace, error: TaskError) -> None:
    """Write the error of a task over that of an earlier try."""
    write_json(_path(workspace, error.task_id, error.map_index), asdict(error))


def read_error(workspace: Workspace, task_id: str, map_index: int = -1) -> TaskError | None:
    """Return the error of a task's last failed try, or None.

    Raises:
        Inconsistent: The file is damaged.
    """
    path = _path(workspace, task_id, map_index)
    return read_as(path, TaskError.from_json) if path.exists() else None


def _path(workspace: Workspace, task_id: str, map_index: int) -> Path:
    name = safe_name(task_id) if map_index < 0 else f"{safe_name(task_id)}-{map_index}"
    return workspace.errors / f"{name}.json"
