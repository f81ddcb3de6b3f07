"""Files of a ``Files`` source: objects in S3 and files in folders, by URI, read only.

A URI is ``s3://bucket/key`` or ``file:///absolute/path``, without quoting. Only URIs below the allowed
prefixes are touched. Symbolic links may not lead out of the allowed folders, and only regular files
are opened. The ETag of a file in a folder is made from its modification time and size.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import stat
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from botocore.exceptions import ClientError, FlexibleChecksumError

from fanfold.errors import (
    BadConfiguration,
    BadInput,
    Inconsistent,
    ItemRefused,
    SinkUnavailable,
    SourceBusy,
)
from fanfold.messages import ENGINE
from fanfold.model import utc_text
from fanfold.storage.objects import ABSENT
from fanfold.storage.s3_errors import s3_errors, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence

log = logging.getLogger(__name__)

CLIENT: dict[str, Any] = {
    # For each thread; botocore's default is 10.
    "max_pool_connections": 32,
    # The checksum of the whole object is asked for below, but not with a range: some servers send it
    # there, too, and botocore compares it with the range.
    "response_checksum_validation": "when_required",
}
"""Options of boto's client."""
VARIABLE = "FANFOLD_FILES_ALLOWED"
FILE = "file://"
_S3 = "s3://"
_DENIED = frozenset(
    {"AccessDenied", "AllAccessDisabled", "UnauthorizedAccess", "InvalidObjectState"}
)
"""Codes that concern one object; keys and accounts have others. The last one: it is archived."""
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
_TRANSIENT = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN})
"""Disk or file server not responding. Source: errno(3)."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that exists.

    Attributes:
        uri: Its URI.
        size: Its size in bytes.
        etag: Its ETag, without quotes: another one means other content.
        modified: When it was written (ISO 8601, UTC); in seconds for an object, as HEAD reports it.
        target: URI of the file that it is a symbolic link to, where files are listed; or "".
    """

    uri: str
    size: int
    etag: str
    modified: str
    target: str = ""


class Locations:
    """The allowed buckets and folders. Thread-safe. A context manager that closes the client.

    Args:
        allowed: URI prefixes, each with ``/`` at its end.
        client: Makes a boto3 S3 client with the options :data:`CLIENT`, if an object is needed.
    """

    def __init__(self, allowed: Sequence[str], client: Callable[[], Any]) -> None:
        self._allowed = tuple(allowed)
        self._make_client = client
        self._made: Any = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._made is not None:
            self._made.close()

    def check(self, uri: str, shown: str = "") -> None:
        """Raise :class:`BadInput` unless a URI, or a prefix of URIs, is allowed.

        The message names it as ``shown``, if that is given.
        """
        # Some servers and all file systems would resolve the dots, these would drop an empty name, and
        # neither takes a NUL.
        is_twice = uri.startswith(FILE) and "//" in uri.removeprefix(FILE)
        if is_twice or "\0" in uri or {".", ".."} & set(uri.split("/")):
            raise BadInput(ENGINE.message("files.not_a_uri", uri=shown or ascii(uri)))
        if not uri.startswith(self._allowed):
            raise BadInput(
                ENGINE.message("files.not_allowed", uri=shown or uri, value=" ".join(self._allowed))
            )

    def places(self, uris: Iterable[str]) -> tuple[str, ...]:
        """Return the buckets of some files with endpoint and region, for people; folders are ``file://``."""
        roots = sorted({"/".join(uri.split("/", 3)[:3]) for uri in uris})
        if not any(root.startswith(_S3) for root in roots):
            return tuple(roots)
        meta = self._client.meta
        where = f"{shown(meta.endpoint_url)} ({meta.region_name})"
        return tuple(f"{root} at {where}" if root.startswith(_S3) else root for root in roots)

    def list(self, prefix: str) -> Iterator[Found]:
        """Yield the files whose URIs begin with ``prefix``, sorted by URI.

        Folders are searched recursively, without following symbolic links to other folders.

        Raises:
            BadInput: The prefix is not allowed, or is a link out of the allowed folders.
            BadConfiguration: Access is denied, the bucket or the allowed folder does not exist, or
                the connection is wrong.
            SourceBusy: Service, disk or file server is unavailable.
        """
        self.check(prefix)
        return self._files(prefix) if prefix.startswith(FILE) else self._objects(prefix)

    def head(self, uri: str) -> Found | None:
        """Return size, ETag and time of a file, or None if there is none.

        Raises as :meth:`list`, and ``BadInput`` for what is not a regular file.
        """
        self.check(uri)
        try:
            if uri.startswith(FILE):
                with self.open(uri) as (found, _):
                    return found
            bucket, key = _bucket_and_key(uri)
            with self._errors(bucket):
                answer = self._client.head_object(Bucket=bucket, Key=key)
                return _of_object(uri, answer["ContentLength"], answer)
        except FileNotFoundError:
            return None
        except ItemRefused as error:
            raise BadInput(f"{uri}: {error}. Correct the list of files.") from error

    @contextmanager
    def open(self, uri: str, start: int = 0) -> Iterator[tuple[Found, BinaryIO]]:
        """Open a file from byte ``start`` on, as it is at this moment.

        Errors of other files in the block must not be ``OSError``.

        Raises:
            FileNotFoundError: There is no such file.
            ItemRefused: It may not be read, is not a regular file, or changed while it was read.
            BadInput: The URI is not allowed.
            BadConfiguration: The bucket does not exist, or the connection is wrong.
            SourceBusy: Service, disk or file server is unavailable, or the connection was lost.
        """
        self.check(uri)
        if uri.startswith(FILE):
            with self._open_file(uri, start) as opened:
                yield opened
            return
        bucket, key = _bucket_and_key(uri)
        asked = {"Range": f"bytes={start}-"} if start else {"ChecksumMode": "ENABLED"}
        with self._errors(bucket):
            answer = self._client.get_object(Bucket=bucket, Key=key, **asked)
            whole = answer.get("ContentRange", "").rpartition("/")[2]  # of such as "bytes 5-9/10"
            size = int(whole or answer["ContentLength"])
            with closing(answer["Body"]) as body:
                yield _of_object(uri, size, answer), body

    # objects

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make_client()
            return self._made

    @contextmanager
    def _errors(self, bucket: str) -> Iterator[None]:
        try:
            with s3_errors(bucket, str(self._client.meta.endpoint_url)):
                try:
                    yield
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if error.operation_name == "GetObject" and code in _DENIED:
                        raise ItemRefused(ENGINE.message("files.forbidden", why=code)) from error
                    if error.operation_name.endswith("Object") and code in ABSENT:
                        raise FileNotFoundError from error
                    raise
                except FlexibleChecksumError as error:
                    raise ItemRefused(ENGINE.message("files.damaged")) from error
        except SinkUnavailable as error:
            raise SourceBusy(error.message, unavailable=True) from error
        except Inconsistent as error:  # the service rejects this request, such as a key too long
            raise ItemRefused(error.message) from error

    def _objects(self, prefix: str) -> Iterator[Found]:
        bucket, _, start = prefix.removeprefix("s3://").partition("/")
        with self._errors(bucket):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=start
            )
            for page in pages:
                for each in page.get("Contents", ()):
                    # The console of S3 marks a folder by an empty object.
                    if not each["Key"].endswith("/"):
                        yield _of_object(f"s3://{bucket}/{each['Key']}", each["Size"], each)

    # files in folders

    @cached_property
    def _roots(self) -> dict[Path, str]:
        """The allowed folders without symbolic links, and their URIs."""
        folders = [text for text in self._allowed if text.startswith(FILE)]
        return {Path(text.removeprefix(FILE)).resolve(): text for text in folders}

    def _uri(self, real: Path) -> str:
        """Return the URI of a path that :meth:`_real` returned."""
        root = next(filter(real.is_relative_to, self._roots))
        return self._roots[root] + str(real.relative_to(root))

    def _real(self, path: str) -> Path:
        """Return a path without symbolic links.

        Raises:
            ItemRefused: It is not in an allowed folder.
            OSError: There is none.
        """
        real = Path(os.path.realpath(path, strict=True))  # Path.resolve hides the errno of a loop
        if not any(map(real.is_relative_to, self._roots)):
            raise ItemRefused(ENGINE.message("files.outside"))
        return real

    @contextmanager
    def _open_file(self, uri: str, start: int) -> Iterator[tuple[Found, BinaryIO]]:
        try:
            descriptor = _opened(self._real(uri.removeprefix(FILE)))
        except OSError as error:
            raise _translated(error, uri) from error
        with io.FileIO(descriptor) as file:
            found = _of_file(uri, os.fstat(descriptor))
            try:
                file.seek(start)
                yield found, cast("BinaryIO", file)
            except OSError as error:
                raise _translated(error, uri) from error
            if _of_file(uri, os.fstat(descriptor)) != found:
                raise ItemRefused(ENGINE.message("files.changed"))

    def _files(self, prefix: str) -> Iterator[Found]:
        folder = prefix.removeprefix(FILE).rpartition("/")[0] + "/"
        for allowed in self._allowed:
            if prefix.startswith(allowed) and not Path(allowed.removeprefix(FILE)).is_dir():
                raise BadConfiguration(
                    f"The allowed folder {allowed} does not exist: mount it on all workers, or correct "
                    f"{VARIABLE}."
                )
        skipped: MutableSequence[str] = []
        try:
            self._real(folder)
            yield from self._walk(folder, prefix, skipped)
        except FileNotFoundError:
            return
        except ItemRefused as error:
            raise BadInput(f"{prefix}: {error}. Correct the pattern.") from error
        except PermissionError as error:
            raise BadConfiguration(
                f"{prefix}: {error.filename} may not be read. Permit it for the user that runs the "
                "workers."
            ) from error
        except OSError as error:
            raise _translated(error, prefix) from error
        if skipped:
            log.warning(
                "%d entries under %s were skipped: they are not regular files, links out of the folders in "
                "%s, or have names that are not UTF-8. First: %s.",
                len(skipped),
                prefix,
                VARIABLE,
                skipped[0],
            )

    def _walk(self, folder: str, prefix: str, skipped: MutableSequence[str]) -> Iterator[Found]:
        """Yield the files below a folder (with ``/`` at its end) that begin with a prefix."""
        with os.scandir(folder) as entries:
            named = {each.name + "/" * each.is_dir(follow_symlinks=False): each for each in entries}
        for name, entry in sorted(named.items()):
            path = folder + name
            uri = f"{FILE}{path}"
            if not uri.startswith(prefix):
                continue
            if os.fsencode(name) != name.encode("utf-8", "replace"):
                skipped.append(os.fsencode(path).decode("utf-8", "backslashreplace"))
                continue
            if name.endswith("/"):
                yield from self._walk(path, prefix, skipped)
                continue
            target = ""
            try:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    real = self._real(path)
                    status, target = real.stat(), self._uri(real)
            except FileNotFoundError:  # removed meanwhile, or a link to nothing
                continue
            except ItemRefused:
                skipped.append(path)
                continue
            if stat.S_ISREG(status.st_mode):
                yield replace(_of_file(uri, status), target=target)
            else:
                skipped.append(path)


def _bucket_and_key(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not key:
        raise FileNotFoundError(uri)
    return bucket, key


def _opened(real: Path) -> int:
    """Open a regular file; follow no link that has replaced it, or a folder of its path, meanwhile."""
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open("/", flags)
    try:
        for name in real.parts[1:-1]:
            inner = os.open(name, flags | os.O_DIRECTORY | getattr(os, "O_PATH", 0), dir_fd=folder)
            os.close(folder)
            folder = inner
        # NONBLOCK: a FIFO would wait for its writer.
        file = os.open(real.name, flags | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ItemRefused(ENGINE.message("files.not_regular"))
    return file


def _translated(error: OSError, uri: str) -> Exception:
    """Return the error of a file that cannot be opened or read."""
    if error.errno in _GONE:
        return FileNotFoundError(uri)
    why = os.strerror(error.errno or 0)
    if error.errno in _TRANSIENT:
        return SourceBusy(ENGINE.message("files.unavailable", why=why), unavailable=True)
    return ItemRefused(ENGINE.message("files.forbidden", why=why))


def _of_file(uri: str, status: os.stat_result) -> Found:
    etag = f"{status.st_mtime_ns:x}-{status.st_size:x}"
    modified = datetime.fromtimestamp(status.st_mtime_ns // 1_000_000 / 1000, UTC)
    return Found(uri, status.st_size, etag, utc_text(modified))


def _of_object(uri: str, size: int, answer: dict[str, Any]) -> Found:
    modified = utc_text(answer["LastModified"].replace(microsecond=0))
    return Found(uri, size, answer.get("ETag", "").strip('"'), modified)
