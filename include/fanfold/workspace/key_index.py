"""Key index: an SQLite file with the position of each item in the plan.

``plan`` writes it once. Readers open it as immutable, without locks, which not all shared file
systems support. Keys are compared as bytes.
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
    # The file gets its name when it is complete, so no recovery is needed.
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -2000",  # KiB
    "PRAGMA temp_store = FILE",
)
_AT_ONCE = 500
"""Keys per query; SQLite supports at least 999 parameters."""


def _as_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")  # JSON may contain a lone surrogate


@contextmanager
def index_writer(path: Path) -> Iterator[Callable[[Sequence[bytes]], None]]:
    """Yield a function that adds lines of JSON strings, in the order of the plan.

    Memory is bounded: SQLite sorts the keys in a temporary file (in ``SQLITE_TMPDIR`` or
    ``/var/tmp``) of the size of the index, 37 bytes a key.

    Raises:
        WorkspaceUnavailable: A disk is full or not writable.
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
            f"{path} cannot be written: {error}. Free disk space in its folder and in that of "
            "SQLite's temporary files (SQLITE_TMPDIR or /var/tmp). If the task is out of retries, "
            "clear it."
        ) from error


def _add(connection: sqlite3.Connection, lines: Sequence[bytes]) -> None:
    document = b"[" + b",".join(lines) + b"]"
    if b"\\" not in document:
        # SQLite parses the list itself in half the time.
        connection.execute(
            "INSERT INTO items (key) SELECT CAST(value AS BLOB) FROM json_each(?)",
            (document.decode(),),
        )
        return
    # SQLite's JSON parser ends a string at an escaped NUL and differs on lone surrogates.
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
    """Return the positions of keys in the plan, from 0; unknown keys are omitted.

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
    """Return the first keys with a prefix, sorted by bytes.

    Raises:
        Inconsistent: The index is missing or damaged.
    """
    first = _as_bytes(prefix)
    # 0xff never occurs in UTF-8: all keys with the prefix sort before prefix + 0xff.
    with _opened(path) as connection:
        rows = connection.execute(
            "SELECT key FROM items WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
            (first, first + b"\xff", limit),
        ).fetchall()
    return [key.decode("utf-8", "surrogatepass") for (key,) in rows]


def containing(path: Path, text: str, limit: int) -> list[str]:
    """Return the first keys that contain a text, sorted by bytes; it may read the whole index.

    Raises:
        Inconsistent: The index is missing or damaged.
    """
    with _opened(path) as connection:
        rows = connection.execute(
            "SELECT key FROM items WHERE instr(key, ?) ORDER BY key LIMIT ?",
            (_as_bytes(text), limit),
        ).fetchall()
    return [key.decode("utf-8", "surrogatepass") for (key,) in rows]
