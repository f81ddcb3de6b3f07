"""The run's own folder in the shared directory: where every file lies and how it is written.

    <shared>/<dag_id>/<run>/
        plan.json                        what is planned, and the facts of the run
        items/00007.jsonl                the keys of batch 7, one JSON string a line
        items/keys.db                    where each key stands, to find one among millions
        raw/00007/0002-1f9c.jsonl.gz     records of batch 7, second part of its fetch
        outcomes/00007/0002-1f9c.jsonl   outcomes of the same part; written last: it commits the part
        progress/00007.json              counts of batch 7 so far, for people who watch
        redrive/00007.json               which items of batch 7 somebody selected to be fetched again
        clean/00007.parquet              clean rows of batch 7; clean/00007.invalid.jsonl beside it,
                                         and their counts in clean/00007.json
        dataset/                         users.parquet, users.csv.gz, failed.jsonl
        failures.json                    the items of failed.jsonl by reason
        report/                          report.html, and each chart as PNG and SVG
        comparison.json                  what differs from the run before
        manifest.json                    what the run produced
        stop.json                        why fetching was stopped, where a token was refused

    <shared>/<dag_id>/.history.json      the last runs of the DAG

Every file is written under a temporary name in its own folder, flushed to disk and renamed, so
that a reader sees it whole or not at all, and a killed writer leaves nothing that is read.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar, cast

from fanfold.errors import Inconsistent, WorkspaceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

T = TypeVar("T")

_SAFE = re.compile(r"[A-Za-z0-9._+=:@-]")
_HALVES = "backslashreplace"
"""JSON may hold half a surrogate pair, which UTF-8 cannot: it is written as its escape again."""
_NAME_LIMIT = 120  # bytes; most file systems allow 255, and parts add to it
PARQUET = "users.parquet"
CSV = "users.csv.gz"
FAILED = "failed.jsonl"
TEMPORARY_PREFIX = ".tmp-"
_DISK = frozenset(
    # Full; over a quota; over the process's file size limit; read-only; a disk, or a server of a
    # shared one, that does not answer. Source: errno(3), and NFS's "stale file handle".
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
        *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN),
    }
)


def safe_name(text: str) -> str:
    """Return a path segment for any text, so that two texts never share one.

    Letters, digits and ``._+=:@-`` stay; every other byte becomes ``%XX``, so the name can be read
    back. A name that would be too long, or that starts with a dot, is cut and ends in a digest of
    the whole text behind ``~``, a character that the first form never holds.
    """
    name = "".join(
        char if _SAFE.fullmatch(char) else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in text
    )
    if len(name) <= _NAME_LIMIT and name and not name.startswith("."):
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{name[: _NAME_LIMIT - 20].lstrip('.')}~{digest}"


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


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where the files of one run lie. ``root`` need not exist yet."""

    root: Path

    @classmethod
    def of_run(cls, shared: Path, dag_id: str, run_id: str) -> Workspace:
        """Return the workspace of a run under the shared directory."""
        return cls(shared / safe_name(dag_id) / safe_name(run_id))

    def sibling(self, run_id: str) -> Workspace:
        """Return the workspace of another run of the same DAG."""
        return Workspace(self.root.parent / safe_name(run_id))

    @property
    def history(self) -> Path:
        """What the DAG remembers of its last runs, for all of them."""
        return self.root.parent / ".history.json"

    @property
    def plan(self) -> Path:
        """The plan: what the run is about to do."""
        return self.root / "plan.json"

    @property
    def listed(self) -> Path:
        """The items as they were read, duplicates included."""
        return self.root / "items" / "listed.jsonl"

    def items(self, batch: int) -> Path:
        """The keys of one batch."""
        return self.root / "items" / f"{batch:05d}.jsonl"

    @property
    def keys(self) -> Path:
        """The index of all keys."""
        return self.root / "items" / "keys.db"

    def progress(self, batch: int) -> Path:
        """The counts of one batch so far."""
        return self.root / "progress" / f"{batch:05d}.json"

    def selection(self, batch: int) -> Path:
        """The items of one batch that were selected to be fetched again."""
        return self.root / "redrive" / f"{batch:05d}.json"

    def clean(self, batch: int) -> Path:
        """The clean rows of one batch."""
        return self.root / "clean" / f"{batch:05d}.parquet"

    def cleaned(self, batch: int) -> Path:
        """The counts of what became of the records of one batch."""
        return self.root / "clean" / f"{batch:05d}.json"

    def invalid(self, batch: int) -> Path:
        """The outcomes of the records of one batch that break the contract."""
        return self.root / "clean" / f"{batch:05d}.invalid.jsonl"

    @property
    def dataset(self) -> Path:
        """The folder of the consolidated files."""
        return self.root / "dataset"

    @property
    def failures(self) -> Path:
        """The items that are not in the dataset, by reason."""
        return self.root / "failures.json"

    @property
    def comparison(self) -> Path:
        """What differs from the run before."""
        return self.root / "comparison.json"

    @property
    def stop(self) -> Path:
        """Why fetching was stopped, where a token was refused."""
        return self.root / "stop.json"

    @property
    def report(self) -> Path:
        """The folder of the report and its charts."""
        return self.root / "report"

    @property
    def manifest(self) -> Path:
        """What the run produced."""
        return self.root / "manifest.json"

    def new_part(self, batch: int, sequence: int) -> tuple[Path, Path]:
        """Return the paths of the next raw and outcomes part of a batch.

        The names carry four random bytes, so that a task that Airflow took for dead and its
        successor never write to the same name.
        """
        name = f"{sequence:04d}-{secrets.token_hex(4)}.jsonl"
        folder = f"{batch:05d}"
        return self.root / "raw" / folder / f"{name}.gz", self.root / "outcomes" / folder / name

    def parts(self, batch: int) -> list[tuple[int, Path, Path]]:
        """Return (sequence, raw, outcomes) of all committed parts of a batch, oldest first."""
        folder = f"{batch:05d}"
        committed = sorted((self.root / "outcomes" / folder).glob("[0-9]*.jsonl"))
        return [
            (int(path.name.split("-")[0]), self.root / "raw" / folder / f"{path.name}.gz", path)
            for path in committed
        ]
