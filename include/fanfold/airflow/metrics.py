"""Fanfold's metrics, emitted through Airflow's StatsD or OpenTelemetry settings.

docs/metrics.md lists them. Each event is counted once: requests and waits by the try of the fetch
that made them, items, rows and runs in ``consolidate``, where each item has its final outcome.

Tags have bounded cardinality: no run, item or map index. Without a receiver a call takes two
microseconds. An error in this module never fails a task.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from airflow.sdk import get_current_context
from airflow.sdk.observability import stats

from fanfold.airflow import settings
from fanfold.airflow.task_errors import recorded
from fanfold.model import Counts, RunStatus, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fanfold.model import Manifest
    from fanfold.stages.fetching.counters import Counters
    from fanfold.storage.objects import PublishedObject

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Kind(StrEnum):
    """Type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Its name is without the prefix that Airflow adds; ``tags`` are the names of its tags.
    """

    name: str
    kind: Kind
    tags: tuple[str, ...]


_OF_PIPELINE = ("dag_id", "pipeline")
ITEMS = Metric("fanfold.items", Kind.COUNTER, (*_OF_PIPELINE, "outcome"))
ROWS = Metric("fanfold.rows", Kind.COUNTER, _OF_PIPELINE)
REJECTED = Metric("fanfold.rows_rejected", Kind.COUNTER, _OF_PIPELINE)
RUNS = Metric("fanfold.runs", Kind.COUNTER, ("dag_id", "status"))
REQUESTS = Metric("fanfold.requests", Kind.COUNTER, _OF_PIPELINE)
RETRIES = Metric("fanfold.request_retries", Kind.COUNTER, _OF_PIPELINE)
WAITS = Metric("fanfold.waits", Kind.COUNTER, (*_OF_PIPELINE, "kind"))
DEFERRALS = Metric("fanfold.deferrals", Kind.COUNTER, _OF_PIPELINE)
BYTES = Metric("fanfold.bytes", Kind.COUNTER, ("dag_id", "stage"))
ROWS_LOADED = Metric("fanfold.rows_loaded", Kind.COUNTER, ("dag_id",))
PENDING = Metric("fanfold.pending_items", Kind.GAUGE, ("dag_id",))
LAST_SUCCESS = Metric("fanfold.last_success_timestamp", Kind.GAUGE, ("dag_id",))
FREE = Metric("fanfold.shared_free_ratio", Kind.GAUGE, ())
STAGE = Metric("fanfold.stage.duration", Kind.TIMER, ("dag_id", "stage"))

ALL = (
    *(ITEMS, ROWS, REJECTED, RUNS, REQUESTS, RETRIES, WAITS, DEFERRALS),
    *(BYTES, ROWS_LOADED, PENDING, LAST_SUCCESS, FREE, STAGE),
)

REFUSED = "refused"
"""Status of a run that exceeded the tolerance; the others are :class:`RunStatus`."""


class Wait(StrEnum):
    """Reason of a wait."""

    BUDGET = "budget"
    BACKOFF = "backoff"
    QUOTA = "quota"


def announce(dag_id: str, pipeline: str) -> None:
    """Emit all counters of a pipeline as zero, before a run increments them.

    Prometheus sees no increase in a counter that first appears with a value, so an alert would miss
    the first failed run.
    """
    of_pipeline = {"dag_id": dag_id, "pipeline": pipeline}
    for outcome in Status:
        _count(ITEMS, 0, **of_pipeline, outcome=outcome)
    for wait in Wait:
        _count(WAITS, 0, **of_pipeline, kind=wait)
    for metric in (ROWS, REJECTED, REQUESTS, RETRIES, DEFERRALS):
        _count(metric, 0, **of_pipeline)
    for status in (*RunStatus, REFUSED):
        _count(RUNS, 0, dag_id=dag_id, status=status)
    for stage in ("publish", "report"):
        _count(BYTES, 0, dag_id=dag_id, stage=stage)
    _count(ROWS_LOADED, 0, dag_id=dag_id)


def fetched(dag_id: str, pipeline: str, counters: Counters) -> None:
    """Count the requests and waits of a fetch since its last report."""
    of_pipeline = {"dag_id": dag_id, "pipeline": pipeline}
    _count(REQUESTS, counters.requests, **of_pipeline)
    _count(RETRIES, counters.retries, **of_pipeline)
    _count(WAITS, counters.waited, **of_pipeline, kind=Wait.BUDGET)
    _count(WAITS, counters.backed_off, **of_pipeline, kind=Wait.BACKOFF)


def deferred(dag_id: str, pipeline: str, seconds: float) -> None:
    """Count a batch that defers for some seconds."""
    of_pipeline = {"dag_id": dag_id, "pipeline": pipeline}
    _count(DEFERRALS, 1, **of_pipeline)
    _count(WAITS, max(0.0, seconds), **of_pipeline, kind=Wait.QUOTA)


def decided(manifest: Manifest, pipeline: str, before: Manifest | None) -> None:
    """Count the items of a consolidated run by outcome, and its rows.

    Only the increase since ``before``, the previous manifest of the same run, is counted: a retried
    task adds nothing, a redrive adds what it fetched.
    """
    of_pipeline = {"dag_id": manifest.dag_id, "pipeline": pipeline}
    if before is None:
        before = replace(manifest, counts=Counts(), rows=0, run_rows=0, rejected=0)
    for outcome in Status:
        more = getattr(manifest.counts, outcome) - getattr(before.counts, outcome)
        _count(ITEMS, max(0, more), **of_pipeline, outcome=outcome)
    _count(ROWS, max(0, manifest.own_rows - before.own_rows), **of_pipeline)
    _count(REJECTED, max(0, manifest.rejected - before.rejected), **of_pipeline)


def judged(dag_id: str, status: str) -> None:
    """Count a consolidated run by status: one of :class:`RunStatus`, or ``REFUSED``."""
    _count(RUNS, 1, dag_id=dag_id, status=status)


def sent(dag_id: str, stage: str, objects: Iterable[PublishedObject]) -> None:
    """Count the bytes that a stage uploaded; unchanged objects are not uploaded."""
    size = sum(each.bytes for each in objects if each.sent)
    _count(BYTES, size, dag_id=dag_id, stage=stage)


def succeeded(manifest: Manifest) -> None:
    """Record the time at which ``latest.json`` moved to a run, and how many items are pending."""
    tags = {"dag_id": manifest.dag_id}
    with _harmless():
        stats.gauge(LAST_SUCCESS.name, time.time(), tags=tags)
        if manifest.mode == "merge":
            stats.gauge(PENDING.name, manifest.pending, tags=tags)


def free_space() -> None:
    """Record the share (0 to 1) of the shared directory's disk that is free."""
    with _harmless():
        usage = shutil.disk_usage(settings.shared_directory())
        stats.gauge(FREE.name, usage.free / usage.total)


def loaded(dag_id: str, rows: int) -> None:
    """Count the rows written to the tables of a run."""
    _count(ROWS_LOADED, rows, dag_id=dag_id)


def timed(body: Callable[P, T]) -> Callable[P, T]:
    """Decorate the body of a task to record its duration if it succeeds, and its error if it fails.

    The duration of a failure, skip or deferral is not recorded.
    """

    @functools.wraps(body)
    def with_duration(*args: P.args, **kwargs: P.kwargs) -> T:
        began = time.perf_counter()
        with recorded():
            result = body(*args, **kwargs)
        seconds = time.perf_counter() - began
        with _harmless():
            took(get_current_context()["dag"].dag_id, body.__name__.removeprefix("_"), seconds)
        return result

    return with_duration


def took(dag_id: str, stage: str, seconds: float) -> None:
    """Record the duration of a stage in seconds, and the free space after it."""
    free_space()
    with _harmless():
        tags = {"dag_id": dag_id, "stage": stage}
        stats.timing(STAGE.name, timedelta(seconds=seconds), tags=tags)


def _count(metric: Metric, amount: float, **tags: str) -> None:
    with _harmless():
        labels = {name: str(value) for name, value in tags.items()}
        # The signature says int; StatsD and OpenTelemetry take a fraction of a second as well.
        stats.incr(metric.name, amount, tags=labels)  # type: ignore[arg-type]


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a receiver's client may raise
        log.warning("A metric could not be emitted: %r.", error)
