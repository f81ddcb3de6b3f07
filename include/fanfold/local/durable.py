"""The embedded S3 server's objects on disk: there before the answer to a request is sent.

    <folder>/<bucket>/<SHA-256 of the key>.object     a line of JSON (key, headers), then the bytes

moto keeps objects in memory. Around it, a WSGI application writes each object that a request
changed to a file, under another name first, and only then sends the answer: a server that is
killed at any moment and started again has every object that it acknowledged, and of the request
that it was at, all or nothing. moto then keeps the name and the headers alone and reads the bytes
from the file, so that memory does not grow with what is stored.

One request is handled at a time: nobody reads what is not on disk yet, and of two conditional
writes (``If-Match``, ``If-None-Match``) one alone succeeds. What is kept is what Fanfold uses:
bytes, ETag, headers, metadata, checksums; no former versions, no access control lists, no tags, no
upload in parts that is not completed.
"""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import sys
import threading
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadConfiguration
from fanfold.workspace import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Application = Callable[[dict[str, Any], Callable[..., Any]], Any]

ENDING = ".object"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_KEPT = ("checksum_algorithm", "checksum_value", "checksum_type", "checksum_parts")
"""Attributes of moto's keys that go back to clients, beside ETag, time and metadata."""
_MIB = 1 << 20
_TIDY_BYTES = 8 * _MIB


class Content:
    """The bytes of an object in its file: as much of a file as moto uses, and nothing held open."""

    def __init__(self, path: Path, begin: int) -> None:
        self._path = path
        self._begin = begin
        self._position = 0

    def seek(self, position: int) -> None:
        """Read from ``position`` on."""
        self._position = position

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; -1: all that follow."""
        with self._path.open("rb") as file:
            file.seek(self._begin + self._position)
            data = file.read(size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Do nothing: no file is open."""


class Durable:
    """A WSGI application around moto's that answers when what changed is on disk."""

    def __init__(self, application: Application, folder: Path) -> None:
        """Load what lies in ``folder``; it is created where it is missing.

        Raises:
            BadConfiguration: The folder cannot be used, or a file in it is damaged.
        """
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        self._application = application
        self._folder = folder
        self._backend: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._lock = threading.Lock()
        self._received = 0
        # By bucket and key: moto's object whose bytes are in the file.
        self._written: dict[str, dict[str, Any]] = {}
        try:
            self._load()
            gc.freeze()  # what is here now stays; the collector need not look at it
        except OSError as error:
            raise BadConfiguration(f"{folder} cannot hold objects: {error}.") from error

    def create_bucket(self, name: str) -> None:
        """Create a bucket where there is none of that name."""
        with self._lock:
            if name not in self._backend.buckets:
                self._backend.create_bucket(name, "us-east-1")
                self._write_changes()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> list[bytes] | Any:
        """Answer a request."""
        if length := int(environ.get("CONTENT_LENGTH") or 0):
            # The whole body first: a slow client must not hold up the others.
            body = environ["wsgi.input"].read(length)
            if len(body) < length:
                # The client was cut off. Half a body is none, and nobody reads the answer.
                start_response("400 Bad Request", [])
                return []
            environ["wsgi.input"] = BytesIO(body)
            del body
            self._tidy(length)
        said: list[Any] = []

        def keep(*status_and_headers: Any) -> Callable[[bytes], None]:
            said[:] = status_and_headers
            return lambda _: None

        with self._lock:
            answer = self._application(environ, keep)
            pieces = list(answer)
            answer.close()
            if environ["REQUEST_METHOD"] not in _READING:
                try:
                    self._write_changes()
                except OSError as error:
                    sys.stderr.write(f"{self._folder}: {error}\n")
                    self._forget_changes()
                    said[:] = ["507 Insufficient Storage", [("Content-Type", "application/xml")]]
                    pieces = [b"<Error><Code>ServiceUnavailable</Code></Error>"]
        start_response(*said)
        return pieces

    def _tidy(self, received: int) -> None:
        # moto's requests hold their bodies in cycles, and few large ones do not wake the collector.
        self._received += received
        if self._received > _TIDY_BYTES:
            self._received = 0
            gc.collect()

    # keeping

    def _write_changes(self) -> None:
        """Make the files equal to what moto holds, whichever request changed it."""
        present: dict[str, Any] = self._backend.buckets
        for name in [name for name in self._written if name not in present]:
            shutil.rmtree(self._folder / name)
            del self._written[name]
        for name, bucket in present.items():
            if name not in self._written:
                (self._folder / name).mkdir(exist_ok=True)
            written = self._written.setdefault(name, {})
            current = {key: bucket.keys[key] for key in bucket.keys}
            for key in written.keys() - current.keys():
                self._path(name, key).unlink()
                del written[key]
            for key, held in current.items():
                if written.get(key) is not held:
                    self._write(name, held)
                    written[key] = held

    def _write(self, bucket: str, held: Any) -> None:
        head = {
            "key": held.name,
            "bytes": held.size,
            "etag": held.etag.strip('"'),
            "modified": held.last_modified.isoformat(),
            "storage_class": held.storage_class,
            "metadata": dict(held.metadata),
            **{name: getattr(held, name, None) for name in _KEPT},
        }
        line = json.dumps(head).encode() + b"\n"
        path = self._path(bucket, held.name)
        content = held._value_buffer  # noqa: SLF001 - moto has no other place for the bytes
        with whole_file(path) as temporary, temporary.open("wb") as file:
            file.write(line)
            content.seek(0)
            shutil.copyfileobj(content, file, _MIB)
        _point(held, Content(path, len(line)))

    def _forget_changes(self) -> None:
        """Return to what the files hold: what could not be written was never there."""
        self._backend.reset()
        self._backend.buckets.clear()
        self._written.clear()
        self._load()

    # loading

    def _load(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in sorted(self._folder.iterdir()):
            if not folder.is_dir():
                continue
            self._backend.create_bucket(folder.name, "us-east-1")
            self._written[folder.name] = {
                held.name: held for held in self._objects(folder) if held is not None
            }

    def _objects(self, folder: Path) -> Iterator[Any]:
        for path in folder.iterdir():
            if path.suffix != ENDING or path.name.startswith("."):
                path.unlink()  # what a server that was killed had begun
                continue
            with path.open("rb") as file:
                line = file.readline()
            yield self._restore(folder.name, path, line)

    def _restore(self, bucket: str, path: Path, line: bytes) -> Any:
        try:
            head = json.loads(line)
            if path.stat().st_size != len(line) + head["bytes"]:
                raise ValueError("its size is wrong")  # noqa: TRY301 - one message for all
            held = self._backend.put_object(
                bucket,
                head["key"],
                b"",
                etag=head["etag"],
                storage=head["storage_class"],
                disable_notification=True,
            )
            held.last_modified = datetime.fromisoformat(head["modified"])
            held.set_metadata(head["metadata"], replace=True)
            for name in _KEPT:
                setattr(held, name, head[name])
            held.contentsize = head["bytes"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadConfiguration(
                f"{path} is no object of this server ({error}): restore it from a copy, or remove "
                "it and publish again."
            ) from error
        _point(held, Content(path, len(line)))
        return held

    def _path(self, bucket: str, key: str) -> Path:
        # Keys are data: no part of them becomes a path.
        return self._folder / bucket / f"{hashlib.sha256(key.encode()).hexdigest()}{ENDING}"


def _point(held: Any, content: Content) -> None:
    """Make moto read an object's bytes from its file from now on."""
    held._value_buffer.close()  # noqa: SLF001 - see _write
    held._value_buffer = content  # noqa: SLF001
    if held.multipart is not None:
        held.multipart.dispose()  # the parts lie in the file, one behind the other
        held.multipart = None
