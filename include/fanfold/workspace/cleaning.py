"""What is in the shared directory: runs with their age and size, and what killed tasks have left."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from filelock import FileLock, Timeout

from fanfold.workspace.files import TEMPORARY_PREFIX
from fanfold.workspace.paths import INPUTS, safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.workspace.paths import Workspace

LOCK = ".lock"


def id_of(folder_name: str) -> str | None:
    """Return the DAG id or run id that :func:`.safe_name` made a name of; None if it was truncated."""
    text = unquote(folder_name)
    return text if safe_name(text) == folder_name else None


def folders_by_id(parent: Path) -> dict[str, Path]:
    """Return the folders of DAGs in the shared directory, or those of runs in the folder of a DAG, by id.

    A folder whose id is not known is left out, and so stays.
    """
    found = {id_of(path.name): path for path in sorted(parent.iterdir()) if path.is_dir()}
    return {each: path for each, path in found.items() if each and each != INPUTS}


def written_at(workspace: Workspace) -> datetime:
    """Return when the newest file of the workspace itself was written: not those in its folders."""
    files = [path for path in workspace.root.iterdir() if path.is_file()]
    return _time(max(map(_modified, files), default=_modified(workspace.root)))


def is_unpublished(workspace: Workspace) -> bool:
    """Return whether items were fetched, or consolidated again, since the run was last published."""
    outcomes = [*workspace.root.glob("outcomes/*/*.jsonl")]
    if not outcomes:
        return False
    made = max(map(_modified, filter(os.path.exists, (*outcomes, workspace.manifest))))
    return not workspace.published.exists() or made > _modified(workspace.published)


def temporary(workspace: Workspace, before: datetime) -> Iterator[Path]:
    """Yield the temporary files and folders in a workspace that were last written before a time."""
    root = workspace.root
    found = (root / "base", *workspace.spill.glob("[!.]*"), *root.rglob(f"{TEMPORARY_PREFIX}*"))
    return (path for path in found if path.exists() and _time(_modified(path)) < before)


def remove_stale(folder: Path, before: datetime) -> None:
    """Remove the files of a folder, if it exists, that were last written before a time.

    A file goes with its lock file, unless a process holds the lock.
    """
    for path in folder.glob("*"):
        if path.suffix == LOCK or _time(_modified(path)) >= before:
            continue
        with contextlib.suppress(Timeout), FileLock(f"{path}{LOCK}", timeout=0):
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}{LOCK}").unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file or folder, or as much of it as another process leaves."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return the size of a file or of all files in a folder in bytes; 0 if there is none."""
    size = 0
    for each in (path, *path.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            found = each.lstat()
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
