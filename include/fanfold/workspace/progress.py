"""How far each batch is: small files that fetch and process write for people who watch.

Nothing rests on them but what is shown. Whoever reads them reads one or two a batch, however many
items it has.
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
"""Seconds of a batch's latest parts that its progress keeps, to tell its present speed."""
_PART_S = 2.0
"""Seconds that a part is filled, at most."""
REASONS = 20
"""Reasons that a batch names; others are counted as the rest."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the fetch of a batch is.

    Attributes:
        batch: Number of the batch.
        planned: Its items.
        ok: Items whose record came; some of them may turn out to be ``invalid``.
        missing: Items that the source does not have.
        failed: Items that failed; a retry may still fetch them.
        requests: Requests made for the items, over all tries.
        at: When this was written (seconds since 1970).
        recent: When parts of the last seconds were written, and how many items each decided.
        reasons: Why items are not ``ok`` (:meth:`fanfold.workspace.failure_groups.Group.as_json`).
        waits_until: When it goes on, where it waits for a quota (ISO 8601, UTC).
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
        """Items that have an outcome."""
        return self.ok + self.missing + self.failed

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return what :func:`write_progress` wrote."""
        recent = tuple((at, items) for at, items in data["recent"])
        waits_for = Message(**data["waits_for"]) if data["waits_for"] else None
        reasons = tuple(data["reasons"])
        return cls(**{**data, "recent": recent, "reasons": reasons, "waits_for": waits_for})


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What process made of the records of a batch.

    Attributes:
        batch: Number of the batch.
        rows: Clean rows.
        invalid: Records that break the contract.
        reasons: Which rules they break.
    """

    batch: int
    rows: int
    invalid: int
    reasons: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return what :func:`write_cleaned` wrote."""
        return cls(**{**data, "reasons": tuple(data["reasons"])})


def write_progress(batch: Batch, progress: Progress) -> None:
    """Say how far the fetch of a batch is."""
    write_json(batch.progress_file, asdict(progress))


def write_cleaned(batch: Batch, cleaned: Cleaned) -> None:
    """Say what became of the records of a batch."""
    write_json(batch.counts_file, asdict(cleaned))


def all_progress(workspace: Workspace) -> dict[int, Progress]:
    """Return how far each batch is that was begun, by its number."""
    found = _read(workspace.batch(0).progress_file.parent, Progress.from_json)
    return {progress.batch: progress for progress in found}


def all_cleaned(workspace: Workspace) -> dict[int, Cleaned]:
    """Return what became of the records of each batch that was processed, by its number."""
    found = _read(workspace.batch(0).counts_file.parent, Cleaned.from_json)
    return {cleaned.batch: cleaned for cleaned in found}


def _read(folder: Path, parse: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    """Yield what the files of a folder hold; one that is no such document is left out."""
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
            continue  # a plan that is made again may remove it; nothing rests on it
        yield found


@lru_cache(maxsize=4096)
def _document(path: str, mark: tuple[int, ...]) -> dict[str, Any]:  # noqa: ARG001 - part of the key
    """Return the document in a file; who looks every two seconds reads only what has changed.

    Args:
        path: The file.
        mark: What tells its present content from another: it is renamed into place, as a new file.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - some thousand times a second
        document: dict[str, Any] = json.loads(file.read())
    return document


def items_per_second(every: dict[int, Progress], now: float, window: float = 10.0) -> float | None:
    """Return how many items a second the batches decide at present, or None where none is fetched.

    The workers' clocks count, as far as they agree with the reader's: the window ends with the
    latest part, if that is not long ago.

    Args:
        every: How far each batch is.
        now: The present (seconds since 1970).
        window: Seconds that count.
    """
    parts = [part for progress in every.values() for part in progress.recent]
    end = max((at for at, _ in parts), default=0.0)
    if now - end > RECENT_S:
        return None
    # Since the latest part some time has passed in which nothing came.
    end = max(end, min(now, end + window))
    began = min(at for at, _ in parts) - _PART_S
    return sum(items for at, items in parts if at > end - window) / min(window, end - began)
