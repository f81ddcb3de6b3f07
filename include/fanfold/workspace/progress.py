"""Progress of the batches: small files that fetch and process write for the run page.

Only the page depends on them; it reads one or two per batch, whatever the number of items.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fanfold.messages import Message
from fanfold.workspace.files import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fanfold.workspace.batch import Batch
    from fanfold.workspace.paths import Workspace

T = TypeVar("T")

RECENT_S = 16.0
"""Seconds of latest parts that the progress of a batch keeps, for its current speed."""
_PART_S = 2.0
"""Maximum seconds until a part is written."""
REASONS = 20
"""Reasons listed per batch; items with further ones are counted together."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of the fetch of a batch.

    Attributes:
        batch: Number of the batch.
        planned: Number of its items.
        ok: Items with a record; process may find some of them ``invalid``.
        missing: Items that the source does not have.
        failed: Items that failed; a retry may still fetch them.
        requests: Requests made for the items, over all tries.
        at: Time of writing (Unix time in seconds).
        recent: Time and number of items of each part of the last seconds.
        reasons: Failure groups (:meth:`fanfold.workspace.failure_groups.Group.as_json`).
        waits_until: When it resumes, if it waits for a quota (ISO 8601, UTC).
        waits_for: Why it waits.
    """

    batch: int
    planned: int
    ok: int = 0
    missing: int = 0
    failed: int = 0
    requests: int = 0
    at: float = 0.0
    recent: tuple[tuple[float, int], ...] = ()
    reasons: tuple[dict[str, Any], ...] = ()
    waits_until: str | None = None
    waits_for: Message | None = None

    @property
    def decided(self) -> int:
        """Items with an outcome."""
        return self.ok + self.missing + self.failed

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Parse what :func:`write_progress` wrote."""
        recent = tuple((at, items) for at, items in data["recent"])
        waits_for = Message(**data["waits_for"]) if data["waits_for"] else None
        reasons = tuple(data["reasons"])
        return cls(**{**data, "recent": recent, "reasons": reasons, "waits_for": waits_for})


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Result of process for a batch: rows, invalid records, and the failure groups of these."""

    batch: int
    rows: int
    invalid: int
    reasons: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Parse what :func:`write_cleaned` wrote."""
        return cls(**{**data, "reasons": tuple(data["reasons"])})


def write_progress(batch: Batch, progress: Progress) -> None:
    """Write the fetch progress of a batch."""
    write_json(batch.progress_file, asdict(progress))


def write_cleaned(batch: Batch, cleaned: Cleaned) -> None:
    """Write the result of process for a batch."""
    write_json(batch.counts_file, asdict(cleaned))


def all_progress(workspace: Workspace) -> dict[int, Progress]:
    """Return the fetch progress of all started batches, by number."""
    found = _read(workspace.batch(0).progress_file.parent, Progress.from_json)
    return {progress.batch: progress for progress in found}


def all_cleaned(workspace: Workspace) -> dict[int, Cleaned]:
    """Return the result of all processed batches, by number."""
    found = _read(workspace.batch(0).counts_file.parent, Cleaned.from_json)
    return {cleaned.batch: cleaned for cleaned in found}


def _read(folder: Path, parse: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    """Yield the documents of a folder; skip unreadable ones."""
    try:
        entries = [
            entry
            for entry in os.scandir(folder)
            if entry.name[0].isdigit() and entry.name.endswith(".json")
        ]
    except FileNotFoundError:
        return
    for entry in sorted(entries, key=lambda entry: entry.name):
        try:
            facts = entry.stat()
            mark = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
            found = parse(_document(entry.path, mark))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            continue  # a new plan may remove it; only the page depends on it
        yield found


@lru_cache(maxsize=4096)
def _document(path: str, mark: tuple[int, ...]) -> dict[str, Any]:  # noqa: ARG001 - part of the key
    """Return the document in a file; the page polls, and reads a file again only if it has changed.

    A file is replaced by a rename, so modification time, inode and size (``mark``) identify it.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - thousands of times per second
        document: dict[str, Any] = json.loads(file.read())
    return document


def items_per_second(every: dict[int, Progress], now: float, window: float = 10.0) -> float | None:
    """Return the current speed of all batches in items per second, or None if none is fetched.

    The window of ``window`` seconds ends with the latest part, if that is recent, because the
    workers' clocks may differ from the reader's. ``now`` is Unix time in seconds.
    """
    parts = [part for progress in every.values() for part in progress.recent]
    end = max((at for at, _ in parts), default=0.0)
    if now - end > RECENT_S:
        return None
    # Time since the latest part counts as well.
    end = max(end, min(now, end + window))
    began = min(at for at, _ in parts) - _PART_S
    return sum(items for at, items in parts if at > end - window) / min(window, end - began)
