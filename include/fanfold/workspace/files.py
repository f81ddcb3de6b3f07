"""Atomic files: written under a temporary name in their own folder, flushed and renamed.

A reader sees a file whole or not at all, and a killed writer leaves nothing that is read.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import secrets
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar, cast

from fanfold.errors import Inconsistent, WorkspaceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

T = TypeVar("T")

TEMPORARY_PREFIX = ".tmp-"
_HALVES = "backslashreplace"
"""JSON may hold half a surrogate pair, which UTF-8 cannot encode: it is written as its escape."""
_DISK = frozenset(
    # Full; over a quota; over the process's file size limit; read-only; a disk, or a server of a
    # shared one, that does not answer. Source: errno(3), and NFS's "stale file handle".
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
        *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN),
    }
)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends well.

    The file is flushed to disk before it gets its name. A failed block leaves no file behind, and
    what was at ``path`` before stays.

    Raises:
        WorkspaceUnavailable: The disk is full, read-only, or does not answer.
    """
    folder = path.parent
    temporary = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{path.name}"
    # Removing the file needs a block of its own: what is free is told as it was before.
    with disk_errors(folder), _removed(temporary), disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)


@contextlib.contextmanager
def _removed(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what a disk refuses inside the block into an error with the way out.

    Args:
        folder: Where the block writes; it need not exist.

    Raises:
        WorkspaceUnavailable: The disk is full, over a quota, read-only, or does not answer.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        # Not the error's own text: libraries add to it, and repeat the name of a temporary file.
        said = os.strerror(error.errno)
        raise WorkspaceUnavailable(
            f"{folder} cannot be written: {said}. {_room(folder)} Make room, or have the disk "
            "mended, and clear the task if it is not retried any more: what the run has is kept, "
            "and not fetched again."
        ) from error


def _room(folder: Path) -> str:
    """Say what is free on the disk of a folder, in bytes and in files."""
    there = next((path for path in (folder, *folder.parents) if path.is_dir()), folder.root)
    try:
        disk = os.statvfs(there)
    except OSError:
        return "Its disk does not say what is free."
    # A disk that is out of inodes has bytes left.
    return f"{disk.f_bavail * disk.f_frsize:,} bytes and {disk.f_favail:,} files are free there."


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as one JSON document."""
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    with whole_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", _HALVES))


def read_json(path: Path) -> Any:
    """Return the JSON document at ``path``.

    Raises:
        Inconsistent: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise Inconsistent(
            f"{path} is missing: the step that writes it has not finished."
        ) from error
    except ValueError as error:
        raise Inconsistent(
            f"{path} is not JSON ({error}); clear the task that writes it."
        ) from error


def read_as(path: Path, parse: Callable[[Any], T]) -> T:
    """Return what ``parse`` makes of the JSON document at ``path``.

    Raises:
        Inconsistent: The file is missing, is not JSON, or holds something else.
    """
    data = read_json(path)
    try:
        return parse(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Inconsistent(
            f"{path} does not hold what it should ({error!r}); clear the task that writes it."
        ) from error


def _open_text(path: Path, mode: Literal["rt", "wt"]) -> TextIO:
    errors = _HALVES if mode == "wt" else "strict"
    if path.suffix == ".gz":
        # Level 1: raw records shrink fivefold, at a tenth of the default level's time.
        return cast(
            "TextIO",
            gzip.open(path, mode, compresslevel=1, encoding="utf-8", errors=errors, newline="\n"),
        )
    return cast("TextIO", path.open(mode, encoding="utf-8", errors=errors, newline="\n"))


@contextlib.contextmanager
def jsonl_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    """Yield a function that writes one JSON document as a line; the file is whole at the end.

    The file is compressed where the name ends in ``.gz``.
    """
    with whole_file(path) as temporary, _open_text(temporary, "wt") as file:
        write = file.write

        def add(document: Any) -> None:
            write(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")

        yield add


def write_jsonl(path: Path, documents: Iterable[Any]) -> int:
    """Write one JSON document a line, as :func:`jsonl_writer` does; return the lines."""
    lines = 0
    with jsonl_writer(path) as add:
        for document in documents:
            add(document)
            lines += 1
    return lines


def read_jsonl(path: Path) -> Iterator[Any]:
    """Yield the JSON documents of a file that :func:`write_jsonl` wrote, in order."""
    with _open_text(path, "rt") as file:
        for line in file:
            yield json.loads(line)
