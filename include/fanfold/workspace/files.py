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
"""JSON may contain a lone surrogate, which UTF-8 cannot encode: it is written as its escape."""
_DISK = frozenset(
    # Full, over quota, over the file size limit, read-only; local or network disk not responding.
    # Source: errno(3).
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
        *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN),
    }
)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it to ``path`` if the block succeeds.

    The file is synced before the rename. If the block fails, the temporary file is removed and a
    previous file at ``path`` is kept.

    Raises:
        WorkspaceUnavailable: The disk is full, read-only or not responding.
    """
    folder = path.parent
    temporary = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{path.name}"
    # The outer disk_errors covers the removal; the inner one reports the free space before it.
    with disk_errors(folder), _removed(temporary), disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        yield temporary
        put_in_place(temporary, path)


def put_in_place(temporary: Path, path: Path) -> None:
    """Sync a temporary file and rename it to ``path``."""
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
    """Translate the disk errors of the block.

    The folder need not exist.

    Raises:
        WorkspaceUnavailable: The disk is full, over quota, read-only or not responding.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        # Not str(error): it contains the name of a temporary file.
        cause = os.strerror(error.errno)
        raise WorkspaceUnavailable(
            f"{folder} cannot be written: {cause}. {_free_space(folder)} Free disk space or repair "
            "the disk. If the task is out of retries, clear it; fetched data is kept."
        ) from error


def _free_space(folder: Path) -> str:
    """Return a sentence on the free space of a folder's disk, in bytes and files."""
    there = next((path for path in (folder, *folder.parents) if path.is_dir()), folder.root)
    try:
        disk = os.statvfs(there)
    except OSError:
        return "Its free space is unknown."
    # A disk without free inodes may have free bytes.
    return f"{disk.f_bavail * disk.f_frsize:,} bytes and {disk.f_favail:,} files are free."


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
    """Return the JSON document at ``path``, parsed.

    Raises:
        Inconsistent: The file is missing, is not JSON or has unexpected content.
    """
    data = read_json(path)
    try:
        return parse(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Inconsistent(
            f"{path} has unexpected content ({error!r}); clear the task that writes it."
        ) from error


def _open_text(path: Path, mode: Literal["rt", "wt"]) -> TextIO:
    errors = _HALVES if mode == "wt" else "strict"
    if path.suffix == ".gz":
        # Level 1 shrinks raw records fivefold in a tenth of the default level's time.
        return cast(
            "TextIO",
            gzip.open(path, mode, compresslevel=1, encoding="utf-8", errors=errors, newline="\n"),
        )
    return cast("TextIO", path.open(mode, encoding="utf-8", errors=errors, newline="\n"))


@contextlib.contextmanager
def jsonl_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    """Yield a function that writes one JSON document a line, atomically for the whole file.

    The file is compressed if its name ends in ``.gz``.
    """
    with whole_file(path) as temporary, _open_text(temporary, "wt") as file:
        write = file.write

        def add(document: Any) -> None:
            write(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")

        yield add


def write_jsonl(path: Path, documents: Iterable[Any]) -> int:
    """Write one JSON document a line with :func:`jsonl_writer`; return the number of lines."""
    lines = 0
    with jsonl_writer(path) as add:
        for document in documents:
            add(document)
            lines += 1
    return lines


def read_jsonl(path: Path) -> Iterator[Any]:
    """Yield the JSON documents of a file that :func:`write_jsonl` wrote, in order."""
    return (document for document, _ in sized_jsonl(path))


def sized_jsonl(path: Path) -> Iterator[tuple[Any, int]]:
    """Yield the documents as :func:`read_jsonl` does, each with the length of its line in characters."""
    with _open_text(path, "rt") as file:
        for line in file:
            yield json.loads(line), len(line)
