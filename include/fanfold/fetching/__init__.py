"""Fetch: ask for a batch's items concurrently; keep records and outcomes as parts.

What a batch already has is not fetched again, so a retry, a cleared task and a redrive are the
same thing. Threads ask, the caller's thread alone writes: a part every few hundred items or few
seconds, so that a killed task loses little.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fanfold.errors import BatchIncomplete
from fanfold.fetching.backoff import Backoff
from fanfold.fetching.crew import Crew
from fanfold.model import Outcome, Status, utc_text
from fanfold.parts import invalid_of, last_sequence, outcomes_of, write_part
from fanfold.workspace import read_jsonl, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.fetching.budget import Budget
    from fanfold.sources.http import Client
    from fanfold.workspace import Workspace

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
    workspace: Workspace,
    batch: int,
    client: Client,
    *,
    concurrency: int,
    budget: Budget,
    backoff: Backoff | None = None,
    items_per_request: int = 1,
    log: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Fetch what a batch does not have yet, and return what it has then.

    Args:
        workspace: The run's workspace.
        batch: Number of the batch.
        client: Asks the source.
        concurrency: Requests in flight, at most; fewer while the source is strained.
        budget: Asked for leave before each request.
        backoff: How failed requests are repeated.
        items_per_request: Items that one request may ask for, where the source has such a call.
        log: Takes a sentence for the task's log.

    Raises:
        CredentialRefused: The token is refused; the other items were not tried.
        QuotaSpent: Nothing more until a time; what came is kept.
        SourceBusy: The source has not answered anybody for minutes; what came is kept.
        BatchIncomplete: All items were tried, some failed; what came is kept.
    """
    keys = list(read_jsonl(workspace.items(batch)))
    tally = Tally(len(keys), outcomes_of(workspace, batch))
    again = invalid_of(workspace, batch)
    wanted = [
        key
        for key in keys
        if key in again or key not in tally.outcomes or tally.outcomes[key].status not in DECIDED
    ]
    if len(wanted) < len(keys):
        log(f"{len(keys) - len(wanted)} of {len(keys)} items are here already.")
    sequence = last_sequence(workspace, batch)
    crew = Crew(
        client,
        budget,
        backoff or Backoff(),
        wanted,
        tally.outcomes,
        concurrency=concurrency,
        together=client.source.together(items_per_request),
    )
    with crew:
        for part in crew.parts():
            sequence += 1
            write_part(workspace, batch, sequence, part)
            tally.outcomes.update((outcome.key, outcome) for outcome, _ in part)
            _write_progress(workspace, batch, tally)
    _write_progress(workspace, batch, tally)
    if crew.stopped_by is not None:
        raise crew.stopped_by
    failed = [o for o in tally.outcomes.values() if o.status is Status.FAILED]
    if failed:
        raise BatchIncomplete(
            f"{len(failed)} of {tally.planned} items failed, the others are kept. "
            f"First: {failed[0].key}: {failed[0].reason}."
        )
    return tally


def _write_progress(workspace: Workspace, batch: int, tally: Tally) -> None:
    write_json(
        workspace.progress(batch),
        {
            "batch": batch,
            "planned": tally.planned,
            "ok": tally.count(Status.OK),
            "missing": tally.count(Status.MISSING),
            "failed": tally.count(Status.FAILED),
            "requests": tally.requests,
            "at": utc_text(datetime.now(UTC)),
        },
    )
