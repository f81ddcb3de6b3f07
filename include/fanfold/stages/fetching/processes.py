"""The processes that run the function of a ``Compute`` source.

They are forked, so that function and closures need no pickling. Cheap items are sent in chunks that
take about :data:`CHUNK_SECONDS`. The time limit is that of a chunk; a chunk that exceeds it or whose
process dies is sent again item by item, so that each item has the whole limit and fails alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import multiprocessing
import os
import signal
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from pebble import ProcessExpired, ProcessPool

from fanfold.injection import inject
from fanfold.messages import ENGINE, Message
from fanfold.model import Outcome, Status, utc_text
from fanfold.sources.author_errors import author_error
from fanfold.stages.fetching.computed import NotRecordsError, records_of
from fanfold.stages.fetching.parts import PartBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from fanfold.model import Item
    from fanfold.sources import Compute, Record
    from fanfold.stages.fetching.counters import RequestCounters
    from fanfold.workspace.batch import Done

    Chunk = Sequence[Item]
    Computed = tuple[list[list[Record] | Message], float]
    """The records of each item of a chunk, or why there are none; and its seconds."""

CHUNK_SECONDS = 0.05
_MAX_CHUNK = 100
_GROWTH = 4
"""Factor by which a chunk may be larger than the one before it."""
_PR_SET_PDEATHSIG = 1


class ProcessRunner:
    """Processes that compute the records of a batch's items.

    Attributes:
        stopped_by: None: nothing but an exception ends the computation early.
        blob: None: there are only records.
        flight: None: there are no requests.
    """

    stopped_by = None
    blob = None
    flight = None

    def __init__(
        self,
        compute: Compute,
        *,
        as_of: datetime,
        wanted: Sequence[Item],
        earlier: Mapping[str, Outcome],
        counters: RequestCounters,  # noqa: ARG002 - there are no requests
    ) -> None:
        self._limit = compute.time_limit
        self._earlier = earlier
        self._fresh = iter(wanted)
        self._again: deque[Item] = deque()
        self._size = 1
        processes = compute.processes or os.cpu_count() or 1
        self._processes = max(1, min(processes, len(wanted)))
        self._pool = ProcessPool(
            self._processes,
            initializer=_start,
            initargs=(inject(compute.function, as_of=as_of),),
            context=multiprocessing.get_context("fork"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def parts(self) -> Iterator[list[Done]]:
        """Compute all items; yield the results in parts."""
        buffer = PartBuffer()
        running: dict[Future[Computed], Chunk] = {}
        while True:
            # One chunk more for each process, so that none waits for its next one.
            while len(running) < 2 * self._processes and (chunk := self._next_chunk()):
                running[self._pool.schedule(_compute, (chunk,), timeout=self._limit)] = chunk
            if not running:
                break
            done, _ = wait(running, buffer.due_in(), FIRST_COMPLETED)
            for future in done:
                buffer.add(self._results(running.pop(future), future))
            if (part := buffer.take()) is not None:
                yield part
        yield buffer.take(last=True) or []

    def _next_chunk(self) -> Chunk:
        if self._again:
            return (self._again.popleft(),)
        return tuple(itertools.islice(self._fresh, self._size))

    def _results(self, chunk: Chunk, future: Future[Computed]) -> list[Done]:
        try:
            results, seconds = future.result()
        except (TimeoutError, ProcessExpired) as error:
            if len(chunk) > 1:
                self._again.extend(chunk)
                return []
            results = [self._failure(error)]
        else:
            each = max(seconds / len(chunk), 1e-6)
            fitting = int(min(CHUNK_SECONDS, self._limit / 10) / each)
            self._size = max(1, min(fitting, len(chunk) * _GROWTH, _MAX_CHUNK))
        return [
            (self._outcome(item, Status.FAILED, result), None)
            if isinstance(result, Message)
            else (self._outcome(item, Status.OK, Message("")), result)
            for item, result in zip(chunk, results, strict=True)
        ]

    def _failure(self, error: Exception) -> Message:
        if isinstance(error, ProcessExpired):
            return ENGINE.message("compute.died", how=_end_of_process(error.exitcode))
        return ENGINE.message("compute.timeout", seconds=f"{self._limit:g}")

    def _outcome(self, item: Item, status: Status, reason: Message) -> Outcome:
        before = self._earlier.get(item.key)
        attempts = 1 + (before.attempts if before else 0)
        at = utc_text(datetime.now(UTC))
        # All attempts are shared: none is a request.
        return Outcome.of(item.key, status, reason, attempts=attempts, at=at, shared=attempts)


def _end_of_process(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"{name}, perhaps out of memory" if -code == signal.SIGKILL else name
    return f"signal {-code}"


# in the processes

_function: Callable[[Item], Any] | None = None


def _start(function: Callable[[Item], Any]) -> None:
    """Keep the function; end this process with the one that it was forked from."""
    global _function  # noqa: PLW0603 - one function a process
    _function = function
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _compute(chunk: Chunk) -> Computed:
    assert _function is not None  # noqa: S101 - set by the initializer
    started = time.monotonic()
    results: list[list[Record] | Message] = []
    for item in chunk:
        try:
            results.append(records_of(_function(item)))
        except NotRecordsError as error:
            results.append(ENGINE.message("compute.result", what=str(error)))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the author's code raises
            results.append(author_error(error, _function))
    return results, time.monotonic() - started
