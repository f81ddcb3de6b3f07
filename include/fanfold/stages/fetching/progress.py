"""Fetch progress of a batch, written for the run page."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from fanfold.model import Status, utc_text
from fanfold.workspace.failure_groups import FailureGroups
from fanfold.workspace.progress import REASONS, RECENT_S, Progress, places_of, write_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fanfold.errors import QuotaSpent
    from fanfold.model import Outcome
    from fanfold.workspace.batch import Batch


class ProgressWriter:
    """Counts the items of a batch by outcome and writes the counts.

    The items to fetch now (``wanted``) count when they have a new outcome, the others by their
    ``earlier`` one. The ``places`` where the requests go are added to those of earlier fetches.
    """

    def __init__(
        self,
        batch: Batch,
        planned: int,
        earlier: Mapping[str, Outcome],
        wanted: Sequence[str],
        places: Sequence[str] = (),
    ) -> None:
        self._batch = batch
        self._planned = planned
        self._requests = sum(outcome.requests for outcome in earlier.values())
        self._gb_seconds = sum(outcome.gb_seconds or 0.0 for outcome in earlier.values())
        known = places_of(batch) if earlier else ()
        self._places = tuple(dict.fromkeys((*known, *(places if wanted else ()))))
        requested = set(wanted)
        self._before = {key: earlier[key] for key in requested if key in earlier}
        self._counts: Counter[Status] = Counter()
        self._reasons = FailureGroups()
        self._count(outcome for key, outcome in earlier.items() if key not in requested)
        self._recent: deque[tuple[float, int]] = deque()
        self.write()

    def add(self, part: Sequence[Outcome]) -> None:
        """Count the outcomes of a part."""
        self._count(part)
        # Requests and cost of an outcome include those of earlier fetches.
        for outcome in part:
            before = self._before.pop(outcome.key, None)
            self._requests += outcome.requests - (before.requests if before else 0)
            cost = before.gb_seconds if before else None
            self._gb_seconds += (outcome.gb_seconds or 0.0) - (cost or 0.0)
        now = time.time()
        self._recent.append((now, len(part)))
        # abs(): the clock may have been set back.
        while abs(now - self._recent[0][0]) > RECENT_S:
            self._recent.popleft()

    def _count(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._counts[outcome.status] += 1
            if outcome.status is not Status.OK:
                self._reasons.add(outcome)

    def write(self, waits: QuotaSpent | None = None) -> None:
        """Write the progress of the batch.

        ``waits`` is the quota that the batch is about to wait for.
        """
        until = waits.reset_at if waits else None
        write_progress(
            self._batch,
            Progress(
                batch=self._batch.number,
                planned=self._planned,
                ok=self._counts[Status.OK],
                missing=self._counts[Status.MISSING],
                failed=self._counts[Status.FAILED] + self._counts[Status.INVALID],
                requests=self._requests,
                gb_seconds=self._gb_seconds,
                at=time.time(),
                recent=tuple(self._recent),
                places=self._places,
                reasons=tuple(group.as_json() for group in self._reasons.groups(REASONS)),
                waits_until=utc_text(until) if until else None,
                waits_for=waits.message if waits else None,
            ),
        )
