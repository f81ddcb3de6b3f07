"""Fanfold's own counters, beside Airflow's and through its settings: StatsD or OpenTelemetry.

The one place that emits them; docs/metrics.md lists them. Each event is counted once, where it
happens: requests and waits by the fetch that made them, so that each try counts what it itself did;
items and runs behind the gate, where an item has its one outcome however often it was tried.

No tag grows with the data: no run, no item, no number of a mapped task. Without a receiver a call
costs two microseconds. Nothing here fails a task.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from airflow.sdk import get_current_context
from airflow.sdk.observability import stats

from fanfold.model import Counts, RunStatus, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fanfold.stages.fetching.effort import Effort
    from fanfold.storage.objects import PublishedObject

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Kind(StrEnum):
    """What a receiver does with the values of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of ours.

    Attributes:
        name: Its name in Airflow, to which Airflow's settings add a prefix.
        kind: Counter, gauge or timer.
        tags: The tags that each of its values has.
    """

    name: str
    kind: Kind
    tags: tuple[str, ...]


_OF_SOURCE = ("dag_id", "source")
ITEMS = Metric("fanfold.items", Kind.COUNTER, (*_OF_SOURCE, "outcome"))
RUNS = Metric("fanfold.runs", Kind.COUNTER, ("dag_id", "status"))
REQUESTS = Metric("fanfold.requests", Kind.COUNTER, _OF_SOURCE)
RETRIES = Metric("fanfold.request_retries", Kind.COUNTER, _OF_SOURCE)
WAITS = Metric("fanfold.waits", Kind.COUNTER, (*_OF_SOURCE, "kind"))
DEFERRALS = Metric("fanfold.deferrals", Kind.COUNTER, _OF_SOURCE)
BYTES = Metric("fanfold.bytes", Kind.COUNTER, ("dag_id", "stage"))
ROWS = Metric("fanfold.rows_loaded", Kind.COUNTER, ("dag_id",))
LAST_SUCCESS = Metric("fanfold.last_success_timestamp", Kind.GAUGE, ("dag_id",))
STAGE = Metric("fanfold.stage.duration", Kind.TIMER, ("dag_id", "stage"))

ALL = (ITEMS, RUNS, REQUESTS, RETRIES, WAITS, DEFERRALS, BYTES, ROWS, LAST_SUCCESS, STAGE)

REFUSED = "refused"
"""What became of a run whose failures were not tolerated; the others are :class:`RunStatus`."""


class Wait(StrEnum):
    """What is waited for."""

    BUDGET = "budget"
    BACKOFF = "backoff"
    QUOTA = "quota"


def announce(dag_id: str, source: str) -> None:
    """Let the counters of a pipeline begin at zero, before a run adds to them.

    A counter that is first seen at 5 never rose, for Prometheus: an alert would not see the first
    run that fails.
    """
    of_source = {"dag_id": dag_id, "source": source}
    for outcome in Status:
        _count(ITEMS, 0, **of_source, outcome=outcome)
    for wait in Wait:
        _count(WAITS, 0, **of_source, kind=wait)
    for metric in (REQUESTS, RETRIES, DEFERRALS):
        _count(metric, 0, **of_source)
    for status in (*RunStatus, REFUSED):
        _count(RUNS, 0, dag_id=dag_id, status=status)
    for stage in ("publish", "report"):
        _count(BYTES, 0, dag_id=dag_id, stage=stage)
    _count(ROWS, 0, dag_id=dag_id)


def fetched(dag_id: str, source: str, effort: Effort) -> None:
    """Count what a fetch did since it last told."""
    of_source = {"dag_id": dag_id, "source": source}
    _count(REQUESTS, effort.requests, **of_source)
    _count(RETRIES, effort.repeats, **of_source)
    _count(WAITS, effort.waited, **of_source, kind=Wait.BUDGET)
    _count(WAITS, effort.backed_off, **of_source, kind=Wait.BACKOFF)


def deferred(dag_id: str, source: str, seconds: float) -> None:
    """Count a batch that gives its slot back for so many seconds."""
    of_source = {"dag_id": dag_id, "source": source}
    _count(DEFERRALS, 1, **of_source)
    _count(WAITS, max(0.0, seconds), **of_source, kind=Wait.QUOTA)


def decided(dag_id: str, source: str, counts: Counts, before: Counts) -> None:
    """Count items by outcome.

    Args:
        dag_id: The pipeline.
        source: Its source.
        counts: Of the run, as it was consolidated.
        before: Of the same run when it was last consolidated, or nothing. Only what it has more of
            is counted: a task that is tried again adds nothing, a redrive adds what it brought.
    """
    for outcome in Status:
        more = getattr(counts, outcome) - getattr(before, outcome)
        _count(ITEMS, max(0, more), dag_id=dag_id, source=source, outcome=outcome)


def judged(dag_id: str, status: str) -> None:
    """Count a run that came to the gate: one of :class:`RunStatus`, or ``REFUSED``."""
    _count(RUNS, 1, dag_id=dag_id, status=status)


def sent(dag_id: str, stage: str, objects: Iterable[PublishedObject]) -> None:
    """Count the bytes that a stage sent to object storage; what lay there already was not sent."""
    size = sum(each.bytes for each in objects if each.sent)
    _count(BYTES, size, dag_id=dag_id, stage=stage)


def succeeded(dag_id: str) -> None:
    """Note that ``latest.json`` points to a run that was just published."""
    with _harmless():
        stats.gauge(LAST_SUCCESS.name, time.time(), tags={"dag_id": dag_id})


def loaded(dag_id: str, rows: int) -> None:
    """Count the rows that were written into the warehouse."""
    _count(ROWS, rows, dag_id=dag_id)


def timed(body: Callable[P, T]) -> Callable[P, T]:
    """Return the body of a task that tells how long it took, where it came to its end.

    Neither a failure, nor a skip, nor a deferral has a duration that says anything of the stage.
    """

    @functools.wraps(body)
    def with_duration(*args: P.args, **kwargs: P.kwargs) -> T:
        began = time.perf_counter()
        result = body(*args, **kwargs)
        seconds = time.perf_counter() - began
        with _harmless():
            took(get_current_context()["dag"].dag_id, body.__name__, seconds)
        return result

    return with_duration


def took(dag_id: str, stage: str, seconds: float) -> None:
    """Note how long a stage took."""
    with _harmless():
        tags = {"dag_id": dag_id, "stage": stage}
        stats.timing(STAGE.name, timedelta(seconds=seconds), tags=tags)


def _count(metric: Metric, amount: float, **tags: str) -> None:
    with _harmless():
        told = {name: str(value) for name, value in tags.items()}
        # The signature says int; StatsD and OpenTelemetry take a fraction of a second as well.
        stats.incr(metric.name, amount, tags=told)  # type: ignore[arg-type]


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a receiver's client may raise
        log.warning("A metric could not be emitted: %r.", error)
