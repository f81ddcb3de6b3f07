"""The stop file: the source rejects the token, or a function does not exist, so no other batch needs to ask."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from fanfold.errors import CredentialRefused, Inconsistent
from fanfold.messages import Message
from fanfold.workspace.files import read_as, read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.workspace.paths import Workspace

VALID_FOR = 60.0
"""Seconds that a stop file is valid; then a batch asks again: the same token may have been granted
a permission."""


def token_digest(token: str | None, run_id: str, clearing: int = 0) -> str:
    """Return a digest that differs by token, run and clearing, and does not reveal the token.

    ``clearing`` is Airflow's ``clear_number`` of the run: a cleared task asks again.
    """
    key = hashlib.sha256(f"{run_id}\0{clearing}".encode()).digest()
    return hashlib.blake2b((token or "").encode(), key=key, digest_size=8).hexdigest()


def write_stop(workspace: Workspace, message: Message, digest: str) -> None:
    """Stop the other batches of the run that use the same token."""
    write_json(
        workspace.stop, {"reason": message.text, "message": asdict(message), "digest": digest}
    )


def check_stop(workspace: Workspace, digest: str) -> None:
    """Raise if another batch has just found that the source rejects this token.

    The file of another token, or of before a clearing, is removed: it is not why items are not fetched now.

    Raises:
        CredentialRefused: There is a valid stop file for the token.
    """
    try:
        age = time.time() - workspace.stop.stat().st_mtime
        stop = read_json(workspace.stop)
    except (FileNotFoundError, Inconsistent):
        return
    if stop["digest"] != digest:
        workspace.stop.unlink(missing_ok=True)
    # Negative after the clock was set back.
    elif abs(age) < VALID_FOR:
        raise CredentialRefused(Message(**stop["message"]))


def read_stop(path: Path) -> Message | None:
    """Return why the fetch of a run was stopped, or None if it was not; ``path`` is its stop file.

    Raises:
        Inconsistent: The file is damaged.
    """
    if not path.exists():
        return None
    return read_as(path, lambda found: Message(**found["message"]))
