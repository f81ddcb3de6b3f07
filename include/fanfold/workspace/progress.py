"""Progress of the batches: small files that ``fetch`` and ``process`` write for the run page.

The page reads one or two of them a batch, whatever the number of items; the manifest has the places.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fanfold.errors import Inconsistent
from fanfold.messages import Message
from fanfold.model import Counts
from fanfold.workspace.files import read_as, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from fanfold.workspace.batch import Batch
    from fanfold.workspace.paths import Workspace

T = TypeVar("T")

RECENT_S = 16.0
"""Seconds for which the progress of a batch keeps its latest parts, to compute the current speed."""
_PART_S = 2.0
"""Maximum seconds between two parts of a batch."""
REASONS = 20
"""Maximum number of failure groups of a batch; the rest is counted together."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Fetch progress of a batch.

    Attributes:
        batch: Number of the batch.
        planned: Number of its items.
        ok: Items with a record; some may turn out to be ``invalid``.
        missing: Items that do not exist.
        failed: Items that failed; a retry may still fetch them.
        requests: Requests for the items, over all tries.
        gb_seconds: Cost of the calls of functions, over all tries.
        at: Time of writing (seconds since 1970).
        recent: Time and number of items of the latest parts.
        places: Where the requests for the items went: URLs, regions and buckets.
        reasons: Failure groups (:meth:`fanfold.workspace.failure_groups.Group.as_json`).
        waits_until: End of the wait for a quota (ISO 8601, UTC).
        waits_for: Reason of the wait.
        in_flight: Number of requests that are sent and have no response yet; None unless it is being
            fetched from an API or functions.
        allowed: Maximum of this number.
        slowed_by: What keeps it lower: ``429``, ``503``, ``latency``, ``quota``, ``rate`` (requests per
            second), ``unavailable``, or None.
        retries: Requests that its last fetch repeated, by cause.
    """

    batch: int
    planned: int
    ok: int = 0
    missing: int = 0
    failed: int = 0
    requests: int = 0
    gb_seconds: float = 0.0
    at: float = 0.0
    recent: tuple[tuple[float, int], ...] = ()
    places: tuple[str, ...] = ()
    reasons: tuple[dict[str, Any], ...] = ()
    waits_until: str | None = None
    waits_for: Message | None = None
    in_flight: int | None = None
    allowed: int | None = None
    slowed_by: str | None = None
    retries: Mapping[str, int] = field(default_factory=dict)

    @property
    def decided(self) -> int:
        """Number of items that have an outcome."""
        return self.ok + self.missing + self.failed

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return what :func:`write_progress` wrote."""
        recent = tuple((at, items) for at, items in data["recent"])
        waits_for = Message(**data["waits_for"]) if data["waits_for"] else None
        lists = {name: tuple(data.get(name, ())) for name in ("places", "reasons")}
        return cls(**{**data, **lists, "recent": recent, "waits_for": waits_for})


@dataclass(frozen=True, slots=True)
class Closed:
    """What ``process`` made of a batch; the dataset is the sum of these.

    Attributes:
        batch: Number of the batch.
        counts: Its items by outcome.
        requests: Requests made for its items, over all tries.
        rows: Number of rows.
        rejected: Number of rows that break the contract.
        reasons: Failure groups of the items that are not ``ok``.
        rejected_reasons: Failure groups of the rejected rows: column, rule and examples.
        parts: Names of the parts that it was made from.
        code: Digest of the pipeline's code that made it.
        dropped_columns: Columns of files that the pipeline does not name, and the number of files that
            have them.
        gb_seconds: Cost of the calls of functions, over all tries.
    """

    batch: int
    counts: Counts
    requests: int
    rows: int
    rejected: int
    reasons: tuple[dict[str, Any], ...] = ()
    rejected_reasons: tuple[dict[str, Any], ...] = ()
    parts: tuple[str, ...] = ()
    code: str = ""
    dropped_columns: Mapping[str, int] = field(default_factory=dict)
    gb_seconds: float = 0.0

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return what :func:`write_closed` wrote."""
        lists = {name: tuple(data[name]) for name in ("reasons", "rejected_reasons", "parts")}
        return cls(**{**data, **lists, "counts": Counts(**data["counts"])})


def write_progress(batch: Batch, progress: Progress) -> None:
    """Write the fetch progress of a batch."""
    write_json(batch.progress_file, asdict(progress))


def write_closed(batch: Batch, closed: Closed) -> None:
    """Write the result of ``process``; it is written last and completes the files beside it."""
    write_json(batch.closed_file, asdict(closed))


def read_closed(batch: Batch, code: str) -> Closed | None:
    """Return the result of ``process``, or None if it must be made (again).

    It must when there is none, when it was made by other code than ``code``, or when the batch has
    been fetched again since.
    """
    if not batch.closed_file.exists():
        return None
    closed = read_as(batch.closed_file, Closed.from_json)
    is_current = closed.code == code and list(closed.parts) == batch.part_names()
    return closed if is_current else None


def places_of(batch: Batch) -> tuple[str, ...]:
    """Return where the requests for the items of a batch went."""
    try:
        return read_as(batch.progress_file, Progress.from_json).places
    except Inconsistent:  # there is none
        return ()


def all_progress(workspace: Workspace) -> dict[int, Progress]:
    """Return the progress of each started batch by number."""
    found = _read(workspace.batch(0).progress_file.parent, Progress.from_json)
    return {progress.batch: progress for progress in found}


def all_closed(workspace: Workspace) -> dict[int, Closed]:
    """Return the result of ``process`` of each processed batch by number."""
    found = _read(workspace.batch(0).closed_file.parent, Closed.from_json)
    return {closed.batch: closed for closed in found}


def _read(folder: Path, parse: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    """Yield the parsed files of a folder; invalid ones are skipped."""
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
            continue  # removed by a repeated plan, or damaged
        yield found


@lru_cache(maxsize=4096)
def _document(path: str, mark: tuple[int, ...]) -> dict[str, Any]:  # noqa: ARG001 - part of the key
    """Return the document in a file; polling reads only the files that changed.

    Args:
        path: The file.
        mark: Changes with the content, because each write renames a new file into place.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - some thousand times a second
        document: dict[str, Any] = json.loads(file.read())
    return document


def items_per_second(every: dict[int, Progress], now: float, window: float = 10.0) -> float | None:
    """Return the current speed of all batches in items per second, or None if none is fetched.

    Times are those of the workers' clocks: the window ends with the latest part, if it is recent.

    Args:
        every: Progress by batch.
        now: Current time (seconds since 1970).
        window: Length of the window in seconds.
    """
    parts = [part for progress in every.values() for part in progress.recent]
    end = max((at for at, _ in parts), default=0.0)
    if now - end > RECENT_S:
        return None
    # No items since the latest part.
    end = max(end, min(now, end + window))
    began = min(at for at, _ in parts) - _PART_S
    return sum(items for at, items in parts if at > end - window) / min(window, end - began)
