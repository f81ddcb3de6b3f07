"""Fetch progress of a batch, written for the run page and the log."""

from __future__ import annotations

import time
from collections import Counter, deque
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from fanfold import formats
from fanfold.model import Status, utc_text
from fanfold.workspace.failure_groups import FailureGroups
from fanfold.workspace.progress import REASONS, RECENT_S, Progress, places_of, write_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fanfold.errors import QuotaSpent
    from fanfold.model import Outcome
    from fanfold.workspace.batch import Batch

LOG_S = 30.0
"""Seconds between two lines in the log."""


class Flight(NamedTuple):
    """The requests of a fetch at a moment.

    Attributes:
        in_flight: Number of requests that are sent and have no response yet.
        allowed: Maximum of this number.
        slowed_by: What keeps it lower: ``429``, ``503``, ``latency``, ``quota``, ``rate``
            (requests per second), ``unavailable``, or None.
    """

    in_flight: int
    allowed: int
    slowed_by: str | None


def numbered(number: int, noun: str) -> str:
    """Return a number with a noun, in the plural unless it is one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


class ProgressWriter:
    """Counts the items of a batch by outcome; writes the counts, and a line for the log every 30 s.

    The items to fetch now (``wanted``) count when they have a new outcome, the others by their
    ``earlier`` one. The ``places`` where the requests go are added to those of earlier fetches.
    ``retries`` has the requests that were repeated by cause, and changes with them.
    """

    def __init__(  # noqa: PLR0913 - what progress consists of
        self,
        batch: Batch,
        planned: int,
        earlier: Mapping[str, Outcome],
        wanted: Sequence[str],
        places: Sequence[str] = (),
        *,
        retries: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._batch = batch
        self._retries = retries
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
        self._started = self._said_at = time.monotonic()
        self._earlier_requests, self._said = self._requests, self._done
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

    @property
    def _done(self) -> int:
        return sum(self._counts.values())

    def line(self, flight: Flight | None) -> str | None:
        """Return a line for the log if the last one is 30 s old."""
        now = time.monotonic()
        if now - self._said_at < LOG_S:
            return None
        rate = (self._done - self._said) / (now - self._said_at)
        self._said_at, self._said = now, self._done
        share = formats.percent(self._done / self._planned)
        parts = [f"{self._done:,} of {self._planned:,} items ({share}), {rate:,.1f} items/s"]
        if flight:
            slowed_by = f", slowed by {flight.slowed_by}" if flight.slowed_by else ""
            parts.append(f"{flight.in_flight} of {flight.allowed} requests in flight{slowed_by}")
        return "; ".join(parts + self._retried())

    def result(self) -> str:
        """Return the last line for the log: the numbers that the run page has."""
        counts = {str(status): self._counts[status] for status in Status}
        counts["waiting"] = self._planned - self._done
        found = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or "none"
        requests = self._requests - self._earlier_requests
        seconds = time.monotonic() - self._started
        sent = f"{numbered(requests, 'request')} in " * bool(requests) + formats.duration(seconds)
        parts = [f"{numbered(self._planned, 'item')}: {found}", sent]
        return "; ".join(parts + self._retried()) + "."

    def _retried(self) -> list[str]:
        causes = sorted(self._retries.items(), key=lambda cause: -cause[1])
        found = ", ".join(f"{n:,} × {cause}" for cause, n in causes)
        return [f"retries: {found}"] if found else []

    def write(self, flight: Flight | None = None, waits: QuotaSpent | None = None) -> None:
        """Write the progress of the batch.

        ``flight`` is None unless it is being fetched; ``waits`` is the quota that it is about to wait for.
        """
        in_flight, allowed, slowed_by = flight or (None, None, None)
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
                in_flight=in_flight,
                allowed=allowed,
                slowed_by=slowed_by,
                retries=dict(self._retries),
            ),
        )
