"""Items by what became of them, while the run is on and afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from fanfold.workspace.progress import Cleaned, Progress, all_cleaned, all_progress

if TYPE_CHECKING:
    from fanfold.model import Counts, Plan
    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class Tally:
    """Items by what became of them; ``planned`` is the sum of the others."""

    planned: int = 0
    ok: int = 0
    missing: int = 0
    invalid: int = 0
    failed: int = 0
    waiting: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.planned + other.planned,
            self.ok + other.ok,
            self.missing + other.missing,
            self.invalid + other.invalid,
            self.failed + other.failed,
            self.waiting + other.waiting,
        )

    @property
    def to_fetch(self) -> int:
        """Items that a fetch would ask for."""
        return self.planned - self.ok - self.missing

    @classmethod
    def of_counts(cls, counts: Counts) -> Self:
        """Return the counts of a manifest, where nothing waits any more."""
        return cls(counts.planned, counts.ok, counts.missing, counts.invalid, counts.failed)


@dataclass(frozen=True, slots=True)
class BatchTally:
    """One batch.

    Attributes:
        tally: Its items.
        progress: How far its fetch is, or None where it has not begun.
    """

    tally: Tally
    progress: Progress | None

    @property
    def requests(self) -> int:
        """Requests made for its items."""
        return self.progress.requests if self.progress else 0

    @property
    def waits_until(self) -> str | None:
        """When it goes on, where it waits for a quota (ISO 8601, UTC)."""
        return self.progress.waits_until if self.progress else None


def batch_tallies(workspace: Workspace, plan: Plan) -> list[BatchTally]:
    """Return all batches of a plan, in order: one or two small files are read for each."""
    progress, cleaned = all_progress(workspace), all_cleaned(workspace)
    return [
        BatchTally(
            _tally(_planned(plan, batch), progress.get(batch), cleaned.get(batch)),
            progress.get(batch),
        )
        for batch in range(plan.batches)
    ]


def _planned(plan: Plan, batch: int) -> int:
    return min(plan.batch_size, plan.items - batch * plan.batch_size)


def _tally(planned: int, progress: Progress | None, cleaned: Cleaned | None) -> Tally:
    if progress is None:
        return Tally(planned, waiting=planned)
    # What was fetched again is not processed again yet: the quarantine may be of an earlier try.
    invalid = min(cleaned.invalid, progress.ok) if cleaned else 0
    return Tally(
        planned=planned,
        ok=progress.ok - invalid,
        missing=progress.missing,
        invalid=invalid,
        failed=progress.failed,
        waiting=max(0, planned - progress.decided),
    )


def total(batches: list[BatchTally]) -> Tally:
    """Return the items of all batches together."""
    return sum((batch.tally for batch in batches), Tally())
