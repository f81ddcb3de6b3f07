"""The stop file: one batch found that the source rejects the token, so the others need not ask.

Or that a function does not exist.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from fanfold.errors import CredentialRefused, Inconsistent
from fanfold.messages import Message
from fanfold.workspace.files import read_json, write_json

if TYPE_CHECKING:
    from fanfold.workspace.paths import Workspace

VALID_FOR = 60.0
"""Seconds that a stop file is valid; then a batch asks again: the same token may have been granted
a permission."""


def token_digest(token: str | None, run_id: str) -> str:
    """Return a digest that differs by token and run, and does not reveal the token."""
    return hashlib.blake2b(
        (token or "").encode(), key=hashlib.sha256(run_id.encode()).digest(), digest_size=8
    ).hexdigest()


def write_stop(workspace: Workspace, message: Message, digest: str) -> None:
    """Stop the other batches of the run that use the same token."""
    write_json(
        workspace.stop, {"reason": message.text, "message": asdict(message), "digest": digest}
    )


def check_stop(workspace: Workspace, digest: str) -> None:
    """Raise if another batch has just found that the source rejects this token.

    Raises:
        CredentialRefused: There is a valid stop file for the token.
    """
    try:
        age = time.time() - workspace.stop.stat().st_mtime
        stop = read_json(workspace.stop)
    except (FileNotFoundError, Inconsistent):
        return
    # Negative after the clock was set back.
    if stop["digest"] == digest and abs(age) < VALID_FOR:
        raise CredentialRefused(Message(**stop["message"]))
