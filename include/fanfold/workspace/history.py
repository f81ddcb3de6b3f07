"""History of a DAG's latest runs, in one small file beside their workspaces."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock

from fanfold.model import Counts, Manifest
from fanfold.workspace.files import read_as, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

MAX_RUNS = 60
"""Number of runs in the history."""
_LOCK_S = 60.0


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier run.

    Attributes:
        run_id: Airflow's run id.
        requests: Requests of its first consolidation.
        seconds: Duration from its plan to its first consolidation.
        logical_date: Logical date (ISO 8601, UTC); empty if unknown.
        status: Status of its manifest.
        counts: Items by outcome.
        passed: Whether its failures were tolerated.
        rows: Rows of its dataset.
        rejected: Rows that broke the contract.
        started_at: When it was planned (ISO 8601, UTC).
        bytes: Size of its items, if they were files.
        fetching: Seconds from its plan until its last item was fetched, before its first
            consolidation; 0 if unknown, or if half of the items had failed by then.
        after: Seconds from its dataset to the end of its last task.
    """

    run_id: str
    requests: int
    seconds: float
    logical_date: str = ""
    status: str = ""
    counts: Counts = field(default_factory=Counts)
    passed: bool = False
    rows: int = 0
    rejected: int = 0
    started_at: str = ""
    bytes: int = 0
    fetching: float = 0.0
    after: float = 0.0

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return what :func:`remember` wrote."""
        known = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        return cls(**{**known, "counts": Counts(**data.get("counts", {}))})


def read_history(path: Path) -> list[Past]:
    """Return the runs of a history, oldest first; empty if there is no file."""
    if not path.exists():
        return []
    return read_as(path, lambda found: [Past.from_json(entry) for entry in found])


def remember(
    path: Path, manifest: Manifest, *, passed: bool, size: int = 0, fetched_at: float = 0.0
) -> None:
    """Add a run to the history or update it.

    Requests and durations of the first consolidation are kept: those of a redrive say nothing about
    the next run.

    Args:
        path: The history.
        manifest: Manifest of the run.
        passed: Whether its failures were tolerated.
        size: Size of its files in bytes.
        fetched_at: When its last item was fetched (seconds since 1970).
    """
    start, end = manifest.moments
    counts = manifest.counts
    past = Past(
        run_id=manifest.run_id,
        requests=manifest.requests,
        seconds=(end - start).total_seconds(),
        logical_date=manifest.logical_date,
        status=str(manifest.status),
        counts=counts,
        passed=passed,
        rows=manifest.rows,
        rejected=manifest.rejected,
        started_at=manifest.started_at,
        bytes=size,
        fetching=max(0.0, fetched_at - start.timestamp())
        if 2 * counts.failed < counts.planned
        else 0.0,
    )
    with _changed(path) as history:
        place = _place(history, manifest.run_id)
        if place == len(history):
            history.append(past)
        else:
            before = history[place]
            first = before if before.requests or before.counts.ok else past
            kept = {name: getattr(first, name) for name in ("requests", "seconds", "fetching")}
            history[place] = replace(past, **kept, after=before.after)


def extend(path: Path, manifest: Manifest, now: datetime) -> None:
    """Note that a task of a run that follows its dataset has ended."""
    with _changed(path) as history:
        place = _place(history, manifest.run_id)
        for past in history[place : place + 1]:
            after = (now - manifest.moments[1]).total_seconds()
            history[place] = replace(past, after=max(past.after, after))


def forget(path: Path, run_id: str) -> None:
    """Remove a run from the history."""
    if any(past.run_id == run_id for past in read_history(path)):
        with _changed(path) as history:
            del history[_place(history, run_id)]


@contextmanager
def _changed(path: Path) -> Iterator[list[Past]]:
    """Yield the runs for a change; tasks of several runs, and of one, change them at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=_LOCK_S):
        history = read_history(path)
        yield history
        write_json(path, [asdict(run) for run in history[-MAX_RUNS:]])


def run_before(history: list[Past], run_id: str, logical_date: str) -> Past | None:
    """Return the previous run: the latest tolerated one with rows before this run, or None.

    Runs are ordered by logical date, and by their position in the history for equal dates.
    """
    own = _place(history, run_id)
    earlier = [
        (past.logical_date, place)
        for place, past in enumerate(history)
        if past.passed and past.rows and (past.logical_date, place) < (logical_date, own)
    ]
    return history[max(earlier)[1]] if earlier else None


def like_size(history: Sequence[Past], items: int) -> list[Past]:
    """Return the runs with at least half and at most twice as many items, in the order of the history."""
    return [past for past in history if past.counts.planned <= 2 * items <= 4 * past.counts.planned]


def _place(history: list[Past], run_id: str) -> int:
    return next(
        (place for place, past in enumerate(history) if past.run_id == run_id), len(history)
    )
