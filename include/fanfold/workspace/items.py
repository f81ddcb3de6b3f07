"""The list of a run's items: one JSON string a line, however long it is.

Ten million items are more than Python objects fit for. So lines are written and read in blocks, and
duplicates are found a share of the list at a time: memory is bounded by a block and a share, but for
one bit an item and a few bytes a block.
"""

from __future__ import annotations

import json
import re
import tempfile
from array import array
from itertools import compress
from typing import IO, TYPE_CHECKING

from fanfold.workspace.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BLOCK = 256 * 1024
"""Bytes of lines that are read at once: some 20,000 items."""
SHARE = 512 * 1024
"""Bytes of lines whose duplicates are looked for at once: in memory ten times as many."""
MOST_SHARES = 256
"""Shares of a list; one of 130 MB, some ten million items, is the first to have larger ones."""

# Printable ASCII without quote and backslash, which is what keys are made of nearly always.
_PLAIN = re.compile(r"[ !#-\[\]-~]*")


def json_lines(texts: Sequence[str]) -> bytes:
    """Return texts as lines of JSON, in the form in which all files of the workspace have them."""
    if texts and _PLAIN.fullmatch("".join(texts)):
        return ('"' + '"\n"'.join(texts) + '"\n').encode("ascii")
    lines = "".join(json.dumps(text, ensure_ascii=False) + "\n" for text in texts)
    return lines.encode("utf-8", "backslashreplace")  # half a surrogate pair stays an escape


def unique_lines(path: Path, repeated: Repeated) -> Iterator[list[bytes]]:
    """Yield the lines of a list without those that stood in it before, in order, in blocks."""
    start = 0
    for lines in _blocks(path):
        yield repeated.left_out(start, lines)
        start += len(lines)


class Repeated:
    """Which lines of a list stood in it before.

    Attributes:
        lines: How many lines the list has.
        count: How many of them are repeated.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.count = 0
        self._bits = bytearray()

    def extend(self, lines: int) -> None:
        """Take so many further lines for the first of their kind."""
        self.lines += lines
        self._bits.extend(bytes(self.lines // 8 + 1 - len(self._bits)))

    def mark(self, position: int) -> None:
        """Note that the line at a position, from 0, stood in the list before; once a line."""
        self._bits[position >> 3] |= 1 << (position & 7)
        self.count += 1

    def left_out(self, start: int, lines: list[bytes]) -> list[bytes]:
        """Return the lines that are first of their kind, of those from position ``start`` on."""
        shift = start & 7
        bits = int.from_bytes(self._bits[start >> 3 : ((start + len(lines)) >> 3) + 1], "little")
        if not bits:
            return lines
        # The last position is the first digit.
        digits = f"{bits >> shift:0{len(lines)}b}"[::-1][: len(lines)]
        return list(compress(lines, map("0".__eq__, digits)))


def find_repeated(path: Path) -> Repeated:
    """Return which lines of a list stood in it before.

    Equal lines have equal hashes: the lines go into shares by their hash, in a temporary file
    beside the list, and then each share is looked through by itself.

    Args:
        path: The list; lines are compared as bytes, so all have to come from :func:`json_lines`.

    Raises:
        WorkspaceUnavailable: The disk has no room for as much again.
    """
    repeated = Repeated()
    count = min(MOST_SHARES, path.stat().st_size // SHARE + 1)
    with disk_errors(path.parent), tempfile.TemporaryFile(dir=path.parent) as spilled:
        shares = _spill(path, spilled, count, repeated)
        for runs in shares:
            _look_through(spilled, runs, repeated)
    return repeated


_RUN = 4
"""Numbers that tell a run, the lines of one block in one share: the position of the block's first
line, where the run begins in the temporary file, how many lines it has, how many bytes they take."""


def _spill(path: Path, spilled: IO[bytes], count: int, repeated: Repeated) -> list[array[int]]:
    """Write the lines by share, with their positions, and return the runs of each share."""
    shares = [array("Q") for _ in range(count)]
    begin = 0
    for lines in _blocks(path):
        start = repeated.lines
        repeated.extend(len(lines))
        # A line that stands everywhere must not fill its share: a run has it once.
        first = dict(zip(reversed(lines), range(len(lines) - 1, -1, -1), strict=True))
        if len(first) < len(lines):
            for position, line in enumerate(lines):
                if first[line] != position:
                    repeated.mark(start + position)
        texts: list[list[bytes]] = [[] for _ in range(count)]
        places: list[list[int]] = [[] for _ in range(count)]
        for line, position in first.items():
            share = hash(line) % count
            texts[share].append(line)
            places[share].append(position)
        for share, run in enumerate(texts):
            if run:
                text = b"".join(run)
                spilled.write(array("I", places[share]).tobytes())
                spilled.write(text)
                shares[share].extend((start, begin, len(run), len(text)))
                begin += len(run) * array("I").itemsize + len(text)
    return shares


def _look_through(spilled: IO[bytes], runs: array[int], repeated: Repeated) -> None:
    """Mark the lines of one share that stand in an earlier run of it."""
    known: set[bytes] = set()
    for number in range(0, len(runs), _RUN):
        start, begin, count, length = runs[number : number + _RUN]
        spilled.seek(begin)
        places = array("I")
        places.frombytes(spilled.read(count * places.itemsize))
        lines = spilled.read(length).splitlines()
        if known.isdisjoint(lines):
            known.update(lines)
            continue
        for line, place in zip(lines, places, strict=True):
            if line in known:
                repeated.mark(start + place)
            else:
                known.add(line)


def _blocks(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as file:
        while lines := file.readlines(BLOCK):
            yield lines
