"""The threads that download the files of a batch, as they are.

Files of up to :data:`SMALL` bytes go through memory, many of them into one file of the workspace. A larger
one is streamed into a file of its own, which is a part. A connection that is lost in the middle of a file
is continued where it ended, as long as each one brings some bytes.

The ETag of each response is compared with that of the list: a file that changed in between is ``failed``.
``If-Match`` would not do, because some servers ignore it.
"""

from __future__ import annotations

import io
import queue
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from fanfold.errors import BadInput, FanfoldError, ItemRefused, SourceBusy
from fanfold.messages import ENGINE, Message
from fanfold.model import Outcome, Status, utc_text
from fanfold.stages.fetching.backoff import UNAVAILABLE, Backoff
from fanfold.stages.fetching.parts import PartBuffer
from fanfold.workspace.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fanfold.model import Item
    from fanfold.stages.fetching.counters import RequestCounters
    from fanfold.storage.locations import Found, Locations
    from fanfold.workspace.batch import Batch, Done

SMALL = 1 << 20
CHUNK = 1 << 20
"""Bytes that are read at once."""
PART_BYTES = 64 << 20
"""Bytes of small files that make a part."""
THREADS = 8
_LOST = Backoff(attempts=4)
"""Waits after lost connections that brought no byte; boto repeats requests without a response."""


class _Stopped(Exception):  # noqa: N818 - not an error
    """The fetch stops while a file is downloaded."""


@dataclass(slots=True)
class _Download:
    """The download of an item.

    Attributes:
        requests: Number of its requests.
        responses: Number of those that were answered by the file, or a part of it.
        received: Number of bytes received.
        found: Size, ETag and time of the file, by the latest response.
        data: Bytes of a small file.
        path: File of the workspace with those of a large one.
        outcome: Its outcome.
    """

    item: Item
    requests: int = 0
    responses: int = 0
    received: int = 0
    found: Found | None = None
    data: io.BytesIO | None = None
    path: Path | None = None
    outcome: Outcome = field(init=False)

    def done(self, offset: int) -> Done:
        """Return the outcome, and where in the file of the part the bytes are."""
        outcome, found = self.outcome, self.found
        if outcome.status is not Status.OK or found is None:
            return outcome, None
        place = {"offset": offset, "bytes": found.size}
        return outcome, [{**place, "etag": found.etag, "modified": found.modified}]


class Downloads:
    """Threads that download files until all are tried or the fetch must stop.

    Attributes:
        stopped_by: The error that stopped the fetch early, or None.
        blob: File with the bytes of the files of the part that was yielded last, or None.
        flight: None: their number is fixed.
    """

    flight = None

    def __init__(  # noqa: PLR0913 - what a fetch depends on
        self,
        locations: Locations,
        max_bytes: int,
        batch: Batch,
        *,
        wanted: Sequence[Item],
        earlier: Mapping[str, Outcome],
        counters: RequestCounters,
    ) -> None:
        self.stopped_by: FanfoldError | None = None
        self.blob: Path | None = None
        self._locations = locations
        self._max_bytes = max_bytes
        self._batch = batch
        self._earlier = earlier
        self._counters = counters
        self._stop = threading.Event()
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        for item in wanted:
            self._items.put(item)
        self._threads = [
            threading.Thread(target=self._work, name=f"download-{number}", daemon=True)
            for number in range(min(THREADS, len(wanted)))
        ]
        self._running = 0
        # Bounded: small files wait in memory.
        self._results: queue.Queue[_Download | BaseException | None] = queue.Queue(THREADS)
        self._blobs: list[Path] = []

    def __enter__(self) -> Self:
        self._batch.remove_unfinished_blobs()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._running:  # the queue may be full
            self._running -= self._results.get() is None
        for path in self._blobs:
            path.unlink(missing_ok=True)  # those of parts were moved

    def parts(self) -> Iterator[list[Done]]:
        """Start the threads and yield their results in parts until all files are tried."""
        for thread in self._threads:
            thread.start()
            self._running += 1
        buffer, blob, size = PartBuffer(), self._new_blob(), 0
        while self._running:
            result = None
            with suppress(queue.Empty):
                result = self._results.get(timeout=buffer.due_in())
                self._running -= result is None
            if isinstance(result, BaseException):
                raise result
            if result and result.path:
                self.blob = result.path
                yield [result.done(0)]
            elif result:
                if result.data:
                    with disk_errors(blob.parent), blob.open("ab") as file:
                        file.write(result.data.getbuffer())
                buffer.add([result.done(size)])
                size += result.received
            part = buffer.take(last=size >= PART_BYTES or not self._running)
            if part is not None and not part:
                yield part
            elif part:
                self.blob = blob if blob.exists() else None  # there is none if all of them failed
                yield part
                blob, size = self._new_blob(), 0

    def _new_blob(self) -> Path:
        path = self._batch.new_blob()
        self._blobs.append(path)
        return path

    # in the threads

    def _work(self) -> None:
        try:
            with suppress(queue.Empty, _Stopped):
                while not self._stop.is_set():
                    self._results.put(self._download(self._items.get_nowait()))
        except FanfoldError as error:
            self.stopped_by = self.stopped_by or error
            self._stop.set()
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._results.put(error)
        finally:
            self._results.put(None)

    def _download(self, item: Item) -> _Download:
        download = _Download(item)
        status = Status.FAILED
        try:
            status, reason = self._receive(download)
        except FileNotFoundError:
            if item.attributes.get("etag"):
                reason = ENGINE.message("files.deleted")
            else:
                status, reason = Status.MISSING, ENGINE.message("files.missing")
        except (BadInput, ItemRefused) as error:
            reason = error.message
        if status is not Status.OK:
            download.received, download.data = 0, None
            if download.path:
                download.path.unlink(missing_ok=True)
                download.path = None
        before = self._earlier.get(item.key)
        attempts = download.requests + (before.attempts if before else 0)
        at = utc_text(datetime.now(UTC))
        download.outcome = Outcome.of(item.key, status, reason, attempts=attempts, at=at)
        return download

    def _receive(self, download: _Download) -> tuple[Status, Message]:
        """Receive a whole file, with further requests if the connection is lost.

        Raises:
            SourceBusy: There is no response. Only its requests tell an outage: a lost connection may
                be that of a file which the service cannot read.
        """
        lost = 0
        while True:
            received, responses = download.received, download.responses
            try:
                return self._request(download)
            except SourceBusy as error:
                if download.responses == responses:
                    raise
                lost = 1 if download.received > received else lost + 1
                delay = _LOST.wait_after(lost)
                if delay is None:
                    raise ItemRefused(error.message) from error
                self._counters.retry(delay, UNAVAILABLE)
                if self._stop.wait(delay):
                    raise _Stopped from error

    def _request(self, download: _Download) -> tuple[Status, Message]:
        """Receive a file, or the rest of it, from one response."""
        self._counters.permit(0.0, granted=True)
        download.requests += 1
        uri = download.item.key
        with self._locations.open(uri, download.received) as (found, stream):
            download.responses += 1
            planned = download.item.attributes
            known = download.found.etag if download.found else planned.get("etag")
            # A manifest file may have sizes and no ETags.
            is_other = known and found.etag != known
            if is_other or planned.get("size", found.size) != found.size:
                raise ItemRefused(ENGINE.message("files.changed"))
            if found.size > (limit := self._max_bytes):
                too_large = ENGINE.message("files.too_large", bytes=found.size, limit=limit)
                return Status.INVALID, too_large
            download.found = found
            with self._writer(download, found.size) as write:
                while chunk := stream.read(CHUNK):
                    if self._stop.is_set():
                        raise _Stopped
                    write(chunk)
                    download.received += len(chunk)
        if (received := download.received) != found.size:
            raise ItemRefused(ENGINE.message("files.cut_off", bytes=received, size=found.size))
        return Status.OK, Message("")

    @contextmanager
    def _writer(self, download: _Download, size: int) -> Iterator[Callable[[bytes], Any]]:
        """Yield a function that appends to the bytes of a file."""
        if size <= SMALL:
            download.data = download.data or io.BytesIO()
            yield download.data.write
            return
        path = download.path = download.path or self._new_blob()
        # Not around the whole block: errors of reading are those of the source.
        with disk_errors(path.parent):
            file = path.open("ab")

        def write(chunk: bytes) -> None:
            with disk_errors(path.parent):
                file.write(chunk)

        try:
            yield write
        finally:
            with disk_errors(path.parent):
                file.close()
