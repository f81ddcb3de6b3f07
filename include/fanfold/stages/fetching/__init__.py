"""Fetch: request a batch's items concurrently; write records and outcomes in parts.

Items that a batch already has are not fetched again, so a retry, a cleared task and a redrive are the
same. Threads send requests; only the caller's thread writes: a part every few hundred items or few
seconds, so that a killed task loses little.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fanfold.errors import BatchIncomplete, LeftFailed, QuotaSpent
from fanfold.model import Outcome, Status
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.counters import RequestCounters
from fanfold.stages.fetching.progress import ProgressWriter
from fanfold.stages.fetching.workers import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.rate_limit import RateLimiter
    from fanfold.sources.session import Session
    from fanfold.stages.fetching.counters import Counters
    from fanfold.workspace.batch import Batch
    from fanfold.workspace.redrive import Selection

DECIDED: Final = frozenset({Status.OK, Status.MISSING})
"""Outcomes that are not fetched again."""


@dataclass(slots=True)
class BatchOutcomes:
    """The outcomes of a batch over all of its fetches.

    ``planned`` is the number of its items; ``outcomes`` has the latest one by key.
    """

    planned: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def count(self, status: Status) -> int:
        """Return the number of items with that outcome."""
        return sum(outcome.status is status for outcome in self.outcomes.values())

    @property
    def requests(self) -> int:
        """Requests made for the items of the batch."""
        return sum(outcome.requests for outcome in self.outcomes.values())


def fetch_batch(  # noqa: PLR0913 - what a fetch depends on
    batch: Batch,
    session: Session,
    *,
    concurrency: int,
    limiter: RateLimiter,
    backoff: Backoff | None = None,
    selection: Selection | None = None,
    log: Callable[[str], None] = lambda _: None,
    report: Callable[[Counters], None] = lambda _: None,
) -> BatchOutcomes:
    """Fetch the missing items of a batch; return the outcomes of all its items.

    With a ``selection`` only its items are fetched, whatever their outcomes; without, all items
    that are neither ``ok`` nor ``missing``. ``log`` receives sentences for the task's log,
    ``report`` the request counters with each part and at the end.

    Raises:
        CredentialRefused: The source rejected the token.
        QuotaSpent: The quota is used up for longer than ``backoff.max_wait``.
        SourceBusy: The source has been unavailable for longer than ``backoff.max_outage``.
        BatchIncomplete: All items were tried, some failed.
        LeftFailed: All selected items were fetched; items that failed earlier were not selected.

    Whatever is raised, fetched items are kept.
    """
    keys = batch.keys()
    result = BatchOutcomes(len(keys), batch.outcomes())
    wanted = _wanted(batch, keys, result, selection)
    if len(wanted) < len(keys):
        log(f"{len(keys) - len(wanted)} of {len(keys)} items are already fetched.")
    sequence = batch.last_sequence()
    progress = ProgressWriter(batch, len(keys), result.outcomes, wanted)
    counters = RequestCounters(report)
    workers = WorkerPool(
        session,
        limiter,
        backoff or Backoff(),
        counters,
        wanted=wanted,
        earlier=result.outcomes,
        concurrency=concurrency,
    )
    try:
        with workers:
            for part in workers.parts():
                sequence += 1
                batch.write_part(sequence, part)
                progress.add([outcome for outcome, _ in part])
                result.outcomes.update((outcome.key, outcome) for outcome, _ in part)
                progress.write()
                counters.flush()
    finally:
        # After the last thread has ended, so that all of its requests are counted.
        counters.flush()
    progress.write(workers.stopped_by if isinstance(workers.stopped_by, QuotaSpent) else None)
    if workers.stopped_by is not None:
        raise workers.stopped_by
    _raise_for_failed(result, wanted)
    return result


def _wanted(
    batch: Batch, keys: list[str], result: BatchOutcomes, selection: Selection | None
) -> list[str]:
    """Return the keys of the items to fetch, in order."""
    if selection is None:
        again, done = batch.invalid(), result.outcomes
        return [
            key
            for key in keys
            if key in again or key not in done or done[key].status not in DECIDED
        ]
    selected = frozenset(selection.keys)
    done = batch.outcomes(after=selection.after)
    return [
        key
        for key in keys
        if key in selected and (key not in done or done[key].status not in DECIDED)
    ]


def _raise_for_failed(result: BatchOutcomes, wanted: list[str]) -> None:
    failed = [each for each in result.outcomes.values() if each.status is Status.FAILED]
    if not failed:
        return
    tried = frozenset(wanted)
    failed_now = [outcome for outcome in failed if outcome.key in tried]
    if not failed_now:
        raise LeftFailed(
            f"The selected items were fetched. {len(failed)} of {result.planned} items that failed "
            f"earlier were not selected; clear the task to fetch them. First: {failed[0].key}."
        )
    raise BatchIncomplete(
        f"{len(failed)} of {result.planned} items failed, the others are kept. "
        f"First: {failed_now[0].key}: {failed_now[0].reason}."
    )
