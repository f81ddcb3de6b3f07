"""Fetch: ask for a batch's items concurrently; keep records and outcomes as parts.

What a batch already has is not fetched again, so a retry, a cleared task and a redrive are the
same thing. Threads ask, the caller's thread alone writes: a part every few hundred items or few
seconds, so that a killed task loses little.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fanfold.errors import BatchIncomplete, LeftFailed, QuotaSpent
from fanfold.model import Outcome, Status
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.crew import Crew
from fanfold.stages.fetching.effort import Efforts
from fanfold.stages.fetching.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.rate_limit import RateLimiter
    from fanfold.sources.http import Client
    from fanfold.stages.fetching.effort import Effort
    from fanfold.workspace.batch import Batch
    from fanfold.workspace.redrive import Selection

DECIDED: Final = frozenset({Status.OK, Status.MISSING})
"""Outcomes that a second fetch leaves alone."""


@dataclass(slots=True)
class Tally:
    """What a batch has so far, over all its fetches.

    Attributes:
        planned: Items of the batch.
        outcomes: The latest outcome of each item that has one.
    """

    planned: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def count(self, status: Status) -> int:
        """Return how many items have that outcome."""
        return sum(outcome.status is status for outcome in self.outcomes.values())

    @property
    def requests(self) -> int:
        """Requests made for the items of this batch."""
        return sum(outcome.requests for outcome in self.outcomes.values())


def fetch_batch(  # noqa: PLR0913 - what a fetch depends on
    batch: Batch,
    client: Client,
    *,
    concurrency: int,
    limiter: RateLimiter,
    backoff: Backoff | None = None,
    items_per_request: int = 1,
    selection: Selection | None = None,
    log: Callable[[str], None] = lambda _: None,
    tell: Callable[[Effort], None] = lambda _: None,
) -> Tally:
    """Fetch what a batch does not have yet, and return what it has then.

    Args:
        batch: The batch.
        client: Asks the source.
        concurrency: Requests in flight, at most; fewer while the source is strained.
        limiter: Rate limiter that grants a permit for each request.
        backoff: How failed requests are repeated.
        items_per_request: Items that one request may ask for, where the source has such a call.
        selection: Fetch these items alone, whatever became of them before; None: all that are
            neither ``ok`` nor ``missing``.
        log: Takes a sentence for the task's log.
        tell: Takes what this fetch did, with each part that it keeps and at its end, however it
            ends; each request is told once.

    Raises:
        CredentialRefused: The token is refused; the other items were not tried.
        QuotaSpent: Nothing more until a time; what came is kept.
        SourceBusy: The source has not answered anybody for minutes; what came is kept.
        BatchIncomplete: All items were tried, some failed; what came is kept.
        LeftFailed: All that was selected came; items that failed before were not selected.
    """
    keys = batch.keys()
    tally = Tally(len(keys), batch.outcomes())
    wanted = _wanted(batch, keys, tally, selection)
    if len(wanted) < len(keys):
        log(f"{len(keys) - len(wanted)} of {len(keys)} items are here already.")
    sequence = batch.last_sequence()
    meter = Meter(batch, len(keys), tally.outcomes, wanted)
    efforts = Efforts(tell)
    crew = Crew(
        client,
        efforts.of_limiter(limiter),
        efforts.of_backoff(backoff or Backoff()),
        wanted,
        tally.outcomes,
        concurrency=concurrency,
        together=client.source.together(items_per_request),
    )
    try:
        with crew:
            for part in crew.parts():
                sequence += 1
                batch.write_part(sequence, part)
                meter.add([outcome for outcome, _ in part])
                tally.outcomes.update((outcome.key, outcome) for outcome, _ in part)
                meter.write()
                efforts.tell()
    finally:
        # Behind the last thread: what it sent belongs to this fetch.
        efforts.tell()
    meter.write(crew.stopped_by if isinstance(crew.stopped_by, QuotaSpent) else None)
    if crew.stopped_by is not None:
        raise crew.stopped_by
    _heed_failures(tally, wanted)
    return tally


def _wanted(
    batch: Batch,
    keys: list[str],
    tally: Tally,
    selection: Selection | None,
) -> list[str]:
    """Return the items that are to be fetched, in order."""
    if selection is None:
        again = batch.invalid()
        done = tally.outcomes
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


def _heed_failures(tally: Tally, wanted: list[str]) -> None:
    failed = [o for o in tally.outcomes.values() if o.status is Status.FAILED]
    if not failed:
        return
    tried = frozenset(wanted)
    ours = [outcome for outcome in failed if outcome.key in tried]
    if not ours:
        raise LeftFailed(
            f"What was selected is fetched. {len(failed)} of {tally.planned} items failed before "
            f"and were not selected: clear the task, and they are fetched. First: {failed[0].key}."
        )
    raise BatchIncomplete(
        f"{len(failed)} of {tally.planned} items failed, the others are kept. "
        f"First: {ours[0].key}: {ours[0].reason}."
    )
