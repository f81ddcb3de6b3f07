"""Items by outcome and numbers of rows, during a run and afterwards."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from fanfold.model import Counts
from fanfold.workspace.progress import Closed, Progress, all_closed, all_progress

if TYPE_CHECKING:
    from fanfold.model import Plan
    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class ItemCounts(Counts):
    """Items by outcome; ``planned`` is the sum of the others.

    Attributes:
        waiting: Items without an outcome.
    """

    waiting: int = 0

    @property
    def to_fetch(self) -> int:
        """Items that a fetch would request."""
        return self.planned - self.ok - self.missing

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Return the counts of a manifest: every item has an outcome."""
        return cls(**asdict(counts))


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """One batch.

    The progress of its fetch is None before its start, the result of ``process`` before its end.
    """

    items: ItemCounts
    progress: Progress | None
    closed: Closed | None

    @property
    def requests(self) -> int:
        """Requests made for its items."""
        return self.progress.requests if self.progress else 0

    @property
    def rows(self) -> int | None:
        """Number of its rows; None before it is processed."""
        return self.closed.rows if self.closed else None

    @property
    def rejected(self) -> int | None:
        """Number of its rejected rows; None before it is processed."""
        return self.closed.rejected if self.closed else None

    @property
    def waits_until(self) -> str | None:
        """When it resumes, if it waits for a quota (ISO 8601, UTC)."""
        return self.progress.waits_until if self.progress else None


def counts_by_batch(workspace: Workspace, plan: Plan) -> list[BatchCounts]:
    """Return all batches of a plan, in order; one or two small files are read for each."""
    progress, closed = all_progress(workspace), all_closed(workspace)
    return [
        BatchCounts(
            _counts(plan.items_of(batch), progress.get(batch), closed.get(batch)),
            progress.get(batch),
            closed.get(batch),
        )
        for batch in range(plan.batches)
    ]


def _counts(planned: int, progress: Progress | None, closed: Closed | None) -> ItemCounts:
    if progress is None:
        return ItemCounts(planned, waiting=planned)
    # The invalid items may be those of an earlier try: items fetched again are not processed yet.
    invalid = min(closed.counts.invalid, progress.ok) if closed else 0
    return ItemCounts(
        planned=planned,
        ok=progress.ok - invalid,
        missing=progress.missing,
        invalid=invalid,
        failed=progress.failed,
        waiting=max(0, planned - progress.decided),
    )


def total(batches: list[BatchCounts]) -> ItemCounts:
    """Return the items of all batches."""
    return sum((batch.items for batch in batches), ItemCounts())


def total_rows(batches: list[BatchCounts]) -> tuple[int, int]:
    """Return the rows and the rejected rows of all processed batches."""
    return sum(batch.rows or 0 for batch in batches), sum(batch.rejected or 0 for batch in batches)
