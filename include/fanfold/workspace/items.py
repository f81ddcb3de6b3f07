"""The item list of a run: one JSON string a line, deduplicated in bounded memory.

Lists of ten million items do not fit into memory as Python objects. Lines are read and written in
blocks, and duplicates are found in one hash partition at a time: memory is bounded by a block and a
partition, plus one bit an item.
"""

from __future__ import annotations

import json
import re
import tempfile
from array import array
from itertools import compress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fanfold.workspace.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCK = 256 * 1024
"""Bytes read at once: about 20,000 items."""
PARTITION = 512 * 1024
"""Bytes of one partition; in memory about ten times as many."""
MAX_PARTITIONS = 256
"""Above 130 MB, about ten million items, partitions get larger."""

# Printable ASCII without quote and backslash: nearly all keys.
_PLAIN = re.compile(r"[ !#-\[\]-~]*")


def json_lines(texts: Sequence[str]) -> bytes:
    """Return texts as JSON lines, in the form that all files of the workspace use."""
    if texts and _PLAIN.fullmatch("".join(texts)):
        return ('"' + '"\n"'.join(texts) + '"\n').encode("ascii")
    lines = "".join(json.dumps(text, ensure_ascii=False) + "\n" for text in texts)
    return lines.encode("utf-8", "backslashreplace")  # a lone surrogate stays an escape


def unique_lines(path: Path, repeated: Repeated) -> Iterator[list[bytes]]:
    """Yield the lines of a list without the duplicates, in order, in blocks."""
    start = 0
    for lines in _blocks(path):
        yield repeated.without_duplicates(start, lines)
        start += len(lines)


class Repeated:
    """Bit set of the duplicate lines of a list."""

    def __init__(self) -> None:
        self.lines = 0
        self.count = 0
        self._bits = bytearray()

    def extend(self, lines: int) -> None:
        """Append lines that are not duplicates."""
        self.lines += lines
        self._bits.extend(bytes(self.lines // 8 + 1 - len(self._bits)))

    def mark(self, position: int) -> None:
        """Mark the line at a position, from 0, as a duplicate; at most once a line."""
        self._bits[position >> 3] |= 1 << (position & 7)
        self.count += 1

    def without_duplicates(self, start: int, lines: list[bytes]) -> list[bytes]:
        """Return the lines that are not duplicates; ``start`` is the position of the first."""
        shift = start & 7
        bits = int.from_bytes(self._bits[start >> 3 : ((start + len(lines)) >> 3) + 1], "little")
        if not bits:
            return lines
        # Bit 0 is the last digit of the text.
        digits = f"{bits >> shift:0{len(lines)}b}"[::-1][: len(lines)]
        return list(compress(lines, map("0".__eq__, digits)))


def find_repeated(path: Path) -> Repeated:
    """Return the duplicate lines of a list.

    The lines are partitioned by hash in a temporary file beside the list; then each partition is
    searched by itself.

    Lines are compared as bytes, so all must come from :func:`json_lines`.

    Raises:
        WorkspaceUnavailable: The disk has no space for a copy of the list.
    """
    repeated = Repeated()
    count = min(MAX_PARTITIONS, path.stat().st_size // PARTITION + 1)
    with disk_errors(path.parent), tempfile.TemporaryFile(dir=path.parent) as spilled:
        for runs in _spill(path, spilled, count, repeated):
            _search(spilled, runs, repeated)
    return repeated


_RUN = 4
"""Numbers that describe a run, the lines of one block in one partition: position of the block's
first line, offset of the run in the temporary file, number of lines, number of bytes."""


def _spill(path: Path, spilled: IO[bytes], count: int, repeated: Repeated) -> list[array[int]]:
    """Write the lines by partition, with their positions; return the runs of each partition."""
    partitions = [array("Q") for _ in range(count)]
    begin = 0
    for lines in _blocks(path):
        start = repeated.lines
        repeated.extend(len(lines))
        # A line that repeats everywhere must not fill its partition: a run contains it once.
        first = dict(zip(reversed(lines), range(len(lines) - 1, -1, -1), strict=True))
        if len(first) < len(lines):
            for position, line in enumerate(lines):
                if first[line] != position:
                    repeated.mark(start + position)
        texts: list[list[bytes]] = [[] for _ in range(count)]
        places: list[list[int]] = [[] for _ in range(count)]
        for line, position in first.items():
            partition = hash(line) % count
            texts[partition].append(line)
            places[partition].append(position)
        for partition, run in enumerate(texts):
            if run:
                text = b"".join(run)
                spilled.write(array("I", places[partition]).tobytes())
                spilled.write(text)
                partitions[partition].extend((start, begin, len(run), len(text)))
                begin += len(run) * array("I").itemsize + len(text)
    return partitions


def _search(spilled: IO[bytes], runs: array[int], repeated: Repeated) -> None:
    """Mark the lines of one partition that occur in one of its earlier runs."""
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


def count_conflicts(keys: Path, attributes: Path, repeated: Repeated) -> int:
    """Return how many different attributes the duplicates of a list have beside those of the first.

    Args:
        keys: The list.
        attributes: The attributes of its items, in the same order.
        repeated: The duplicates of the list.

    Raises:
        WorkspaceUnavailable: The disk has no space for two copies of the files.
    """
    if not repeated.count:
        return 0
    with disk_errors(keys.parent), tempfile.NamedTemporaryFile(dir=keys.parent) as pairs:
        with keys.open("rb") as first, attributes.open("rb") as second:
            pairs.writelines(key[:-1] + line for key, line in zip(first, second, strict=True))
        pairs.flush()
        return repeated.count - find_repeated(Path(pairs.name)).count
