"""Where each item of a run stands in its plan: a small SQLite file in the workspace.

The plan writes it once, under a temporary name; whoever looks up reads it only. It is then opened
as immutable, without locks, which not every shared file system has. Keys are compared as bytes.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from fanfold.errors import Inconsistent, WorkspaceUnavailable
from fanfold.workspace.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

_PRAGMAS = (
    # A file that is not finished has no name: there is nothing to recover.
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -2000",  # KiB
    "PRAGMA temp_store = FILE",
)
_AT_ONCE = 500
"""Keys that one query asks for; SQLite takes 999 at least."""


def _as_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")  # JSON may hold half a surrogate pair


@contextmanager
def index_writer(path: Path) -> Iterator[Callable[[Sequence[bytes]], None]]:
    """Yield a function that takes lines of JSON strings, in the order of the plan.

    Memory is bounded: keys are sorted over a temporary file of SQLite's (in ``SQLITE_TMPDIR`` or
    ``/var/tmp``), which is as large as the index, 37 bytes a key.

    Raises:
        WorkspaceUnavailable: A disk takes no more.
    """
    with (
        whole_file(path) as temporary,
        _disk_errors(path),
        closing(sqlite3.connect(temporary)) as connection,
    ):
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        connection.execute("CREATE TABLE items (key BLOB NOT NULL)")  # rowid: position + 1
        yield partial(_add, connection)
        connection.execute("CREATE INDEX by_key ON items (key)")
        connection.commit()


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise WorkspaceUnavailable(
            f"{path} cannot be written: {error}. Make room in its folder, and in that of SQLite's "
            "temporary files, SQLITE_TMPDIR or /var/tmp, and clear the task if it is not retried."
        ) from error


def _add(connection: sqlite3.Connection, lines: Sequence[bytes]) -> None:
    document = b"[" + b",".join(lines) + b"]"
    if b"\\" not in document:
        # SQLite unpacks the list itself, in half the time.
        connection.execute(
            "INSERT INTO items (key) SELECT CAST(value AS BLOB) FROM json_each(?)",
            (document.decode(),),
        )
        return
    # Its own reader of JSON ends a text at an escaped NUL, and has its own idea of half a surrogate.
    keys = json.loads(document)
    connection.executemany(
        "INSERT INTO items (key) VALUES (?)", ((_as_bytes(key),) for key in keys)
    )


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(str(path))}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise Inconsistent(
            f"{path} cannot be read ({error}); clear `plan` and what follows it."
        ) from error


def positions(path: Path, keys: Iterable[str]) -> dict[str, int]:
    """Return where keys stand in the plan, from 0; those that it does not have are left out.

    Raises:
        Inconsistent: The index is missing or damaged.
    """
    wanted = list(dict.fromkeys(keys))
    found: dict[str, int] = {}
    with _opened(path) as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            some = [_as_bytes(key) for key in wanted[start : start + _AT_ONCE]]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, rowid - 1 FROM items WHERE key IN ({marks})"  # noqa: S608 - marks
            for key, position in connection.execute(query, some):
                found[key.decode("utf-8", "surrogatepass")] = position
    return found


def starting_with(path: Path, prefix: str, limit: int) -> list[str]:
    """Return the first keys, sorted by their bytes, that begin with a text.

    Raises:
        Inconsistent: The index is missing or damaged.
    """
    first = _as_bytes(prefix)
    # 0xff is no byte of UTF-8: all that begins with the text sorts before it.
    with _opened(path) as connection:
        rows = connection.execute(
            "SELECT key FROM items WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
            (first, first + b"\xff", limit),
        ).fetchall()
    return [key.decode("utf-8", "surrogatepass") for (key,) in rows]
