"""Fetch: get the records of a batch's items concurrently; write records and outcomes in parts.

Items that a batch already has are not fetched again, so a retry, a cleared task and a redrive are the
same. Threads send the requests of an API (``workers``), processes run the function of a ``Compute``
source (``processes``), threads download files (``downloads``). A part is written every few hundred items
or few seconds, so that a killed task loses little.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from fanfold.errors import BatchIncomplete, LeftFailed, QuotaSpent
from fanfold.model import Outcome, Status
from fanfold.stages.fetching.counters import RequestCounters
from fanfold.stages.fetching.progress import ProgressWriter, numbered
from fanfold.workspace.batch import remove_part
from fanfold.workspace.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fanfold.errors import FanfoldError
    from fanfold.model import Item
    from fanfold.stages.fetching.counters import Counters
    from fanfold.stages.fetching.progress import Flight
    from fanfold.workspace.batch import Batch, Done
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


class Fetching(Protocol):
    """A fetch that runs: ``WorkerPool``, ``ProcessRunner`` or ``Downloads``.

    A context manager that ends it.

    Attributes:
        stopped_by: Why it ended before all items were tried, or None.
        blob: File with the bytes of the files of the part that was yielded last, or None.
        flight: The requests in flight, or None.
    """

    @property
    def stopped_by(self) -> FanfoldError | None: ...  # noqa: D102

    @property
    def blob(self) -> Path | None: ...  # noqa: D102

    @property
    def flight(self) -> Flight | None: ...  # noqa: D102

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def parts(self) -> Iterator[list[Done]]:
        """Start it and yield the results in parts, at least every two seconds; a part may be empty."""


class Fetcher(Protocol):
    """Makes a fetch of some items: one of those classes with its first arguments."""

    def __call__(
        self,
        *,
        wanted: Sequence[Item],
        earlier: Mapping[str, Outcome],
        counters: RequestCounters,
    ) -> Fetching:
        """Return the fetch; ``earlier`` has the outcomes of earlier fetches by key."""


def fetch_batch(  # noqa: PLR0913 - what a fetch depends on
    batch: Batch,
    fetcher: Fetcher,
    *,
    version: str,
    places: Sequence[str] = (),
    selection: Selection | None = None,
    log: Callable[[str], None] = lambda _: None,
    report: Callable[[Counters], None] = lambda _: None,
) -> BatchOutcomes:
    """Fetch the missing items of a batch; return the outcomes of all its items.

    With a ``selection`` only its items are fetched, whatever their outcomes; without, all items
    that are neither ``ok`` nor ``missing``. Parts that another ``version`` of the source made, or with
    other attributes of the items, are removed first, and then all items are fetched. The progress and
    the log name the ``places`` where the requests go. ``log`` receives lines for the task's log: at the
    start, every 30 s and at the end; ``report`` the request counters with each part and at the end.

    Raises:
        BadPipeline: The request for an item cannot be made.
        CredentialRefused: The source rejected the token.
        BadConfiguration: A function does not exist.
        QuotaSpent: The quota is used up for longer than ``Backoff.max_wait``.
        SourceBusy: The source has been unavailable for longer than ``Backoff.max_outage``.
        BatchIncomplete: All items were tried, some failed.
        LeftFailed: All selected items were fetched; items that failed earlier were not selected.

    Whatever is raised, fetched items are kept.
    """
    items = batch.items()
    if removed := _remove_parts_of_other_versions(batch, version):
        log(
            f"{removed} parts were made by another version of the source, or with other attributes; they are fetched again."
        )
        selection = None
    done = batch.outcomes()
    # An earlier list of the run, read again since, may have had others.
    planned = {item.key: done[item.key] for item in items if item.key in done}
    result = BatchOutcomes(len(items), planned)
    wanted = _wanted(batch, items, result, selection)
    source = f" from {', '.join(places)}" if places else ""
    log(f"Fetching {len(wanted):,} of {numbered(len(items), 'item')}{source}.")
    sequence = batch.last_sequence()
    keys = [item.key for item in wanted]
    counters = RequestCounters(report)
    progress = ProgressWriter(
        batch, len(items), result.outcomes, keys, places, retries=counters.retries
    )
    fetching = fetcher(wanted=wanted, earlier=result.outcomes, counters=counters)
    try:
        with fetching:
            for part in fetching.parts():
                if part:
                    sequence += 1
                    batch.write_part(sequence, part, version, fetching.blob)
                    progress.add([outcome for outcome, _ in part])
                    result.outcomes.update((outcome.key, outcome) for outcome, _ in part)
                flight = fetching.flight
                progress.write(flight)
                counters.flush()
                if line := progress.line(flight):
                    log(line)
    finally:
        # After the last thread has ended, so that all of its requests are counted.
        counters.flush()
    stopped_by = fetching.stopped_by
    progress.write(waits=stopped_by if isinstance(stopped_by, QuotaSpent) else None)
    log(progress.result())
    if stopped_by is not None:
        raise stopped_by
    _raise_for_failed(result, wanted)
    return result


def _remove_parts_of_other_versions(batch: Batch, version: str) -> int:
    """Remove them with the batch's selection, which refers to their outcomes; return their number."""
    parts = batch.parts_of_other_versions(version)
    with disk_errors(batch.items_file.parent):
        if parts:
            batch.selection_file.unlink(missing_ok=True)
    for records, outcomes in parts:
        remove_part(records, outcomes)
    return len(parts)


def _wanted(
    batch: Batch,
    items: list[Item],
    result: BatchOutcomes,
    selection: Selection | None,
) -> list[Item]:
    """Return the items to fetch, in order."""
    if selection is None:
        again, done = batch.invalid(), result.outcomes
        return [
            item
            for item in items
            if item.key in again or item.key not in done or done[item.key].status not in DECIDED
        ]
    selected = frozenset(selection.keys)
    done = batch.outcomes(after=selection.after)
    return [
        item
        for item in items
        if item.key in selected and (item.key not in done or done[item.key].status not in DECIDED)
    ]


def _raise_for_failed(result: BatchOutcomes, wanted: list[Item]) -> None:
    failed = [each for each in result.outcomes.values() if each.status is Status.FAILED]
    if not failed:
        return
    tried = frozenset(item.key for item in wanted)
    failed_now = [outcome for outcome in failed if outcome.key in tried]
    if not failed_now:
        raise LeftFailed(
            f"The selected items were fetched. {len(failed)} of {result.planned} items that failed "
            f"earlier were not selected; clear the task to fetch them. First: {failed[0].key}."
        )
    raise BatchIncomplete(
        f"{len(failed)} of {result.planned} items failed, the others are kept. "
        f"First: {failed_now[0].key}: {failed_now[0].reason}.",
        refused=all(outcome.refused for outcome in failed_now),
    )
