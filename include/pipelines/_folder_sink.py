"""A sink of one's own: the tables of a run as files in a folder of any storage that Airflow reaches.

The folder is an ``ObjectStoragePath``: ``file:///data/exports``, or with the provider of a cloud and an Airflow
connection ``gs://connection@bucket/exports``::

    <folder>/<dag_id>/latest.json                    the newest run, its folder, and its files
                      run=<run_id>/<digest>/*.parquet

Files never change under their readers: another dataset has another digest, and ``latest.json`` is replaced
last. So the task may be killed at any point and run again, and a folder that was deleted is written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from fanfold.errors import BadConfiguration, Inconsistent, SinkUnavailable
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.model import Manifest

log = logging.getLogger(__name__)


def export(manifest: Manifest, files: Path, folder: str) -> str:
    """Copy the Parquet files of a run to a folder, then point ``latest.json`` to them; return their folder.

    Args:
        manifest: The manifest of the run.
        files: The folder with its files.
        folder: The folder to write to, as a URL.

    Raises:
        BadConfiguration: The folder is wrong or may not be written.
        Inconsistent: The run's files are gone.
        SinkUnavailable: The storage is unavailable.
    """
    if not folder.startswith("/") and "://" not in folder:
        raise BadConfiguration(
            f"The folder for the tables is {folder!r}; set it to a URL such as file:///data/exports."
        )
    tables = [entry for entry in manifest.files if entry.format == "parquet"]
    for entry in tables:
        if not (files / entry.key).is_file():
            raise Inconsistent(
                f"{files / entry.key} is gone. Clear `consolidate` with its downstream tasks."
            )
    with _errors(folder):
        from airflow.sdk import ObjectStoragePath

        root = ObjectStoragePath(folder) / safe_name(manifest.dag_id)
        digest = hashlib.sha256("".join(entry.sha256 for entry in tables).encode()).hexdigest()
        place = f"run={safe_name(manifest.run_id)}/{digest[:16]}"
        target = root / place
        target.mkdir(parents=True, exist_ok=True)
        for entry in tables:
            with (files / entry.key).open("rb") as file:
                _write(target / entry.key, file, entry.sha256)
        latest = {
            "run_id": manifest.run_id,
            "logical_date": manifest.logical_date,
            "folder": place,
            "files": {entry.key: entry.sha256 for entry in tables},
        }
        if _is_older(latest, root / "latest.json"):
            log.warning("latest.json points to a run of a later date and was not moved.")
        else:
            document = json.dumps(latest, indent=1).encode()
            _write(root / "latest.json", BytesIO(document), hashlib.sha256(document).hexdigest())
    return str(target)


def _write(path: Any, file: BinaryIO, sha256: str) -> None:
    """Write a file whole or not at all, unless it is there; verify it."""
    if _has(path, sha256):
        return
    part = path.with_name(f".part-{path.name}")
    with part.open("wb") as opened:
        shutil.copyfileobj(file, opened)
    if not _has(part, sha256):
        raise SinkUnavailable(f"{part} differs from what was written to it; clear the task.")
    part.replace(path)


def _has(path: Any, sha256: str) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _is_older(latest: dict[str, Any], path: Any) -> bool:
    """Whether the run of ``latest.json`` has a later date; a broken one has none."""
    try:
        return bool(json.loads(path.read_bytes())["logical_date"] > latest["logical_date"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return False


@contextlib.contextmanager
def _errors(folder: str) -> Iterator[None]:
    """Translate errors: what needs manual action is not retried."""
    from airflow.sdk.exceptions import AirflowNotFoundException

    wrong = (PermissionError, FileNotFoundError, NotADirectoryError, FileExistsError)
    try:
        yield
    except (*wrong, ImportError, ValueError, AirflowNotFoundException) as error:
        raise BadConfiguration(
            f"The tables cannot be written to {folder} ({type(error).__name__}: {error}). Correct the folder "
            "or its rights and clear the task; the run is published all the same."
        ) from error
    except OSError as error:
        raise SinkUnavailable(
            f"{folder} is unavailable ({type(error).__name__}: {error})."
        ) from error
