"""Limits of an items file: a small one may unpack to terabytes, and a line may never end."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO

from fanfold.errors import BadInput

MAX_BYTES = 2 << 30
"""Bytes of a file as it is stored."""
MAX_DECODED_BYTES = 8 << 30
"""Bytes of its content after decompression."""
MAX_LINE = 1 << 20
"""Bytes of a line, and of a value in a Parquet file."""
MAX_ITEMS = 20_000_000
"""Items of a run, with blanks and duplicates."""
_CHUNK = 1 << 16


def too_much(name: str, limit: int, what: str) -> BadInput:
    """Return the error of a file that exceeds a limit: ``more than 2,147,483,648 bytes``."""
    return BadInput(
        f"items_uri: {name} has more than {limit:,} {what}, the limit of an items file. Correct the "
        "file, or split it and trigger several runs."
    )


class LimitedText(io.BufferedIOBase):
    """The bytes of a text file, plain or from :class:`gzip.GzipFile`, up to the limits.

    Attributes:
        lines: Lines before the chunk that was read last.

    Raises:
        BadInput: From ``read1``: a limit is exceeded, or the compressed data is damaged or cut off.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.lines = 0
        self._stream = stream
        self._name = name
        self._bytes = 0
        self._ends = 0  # lines that end in the last chunk
        self._open = 0  # bytes of the line that it leaves open

    def readable(self) -> bool:
        """Return True."""
        return True

    def read1(self, _: int | None = -1, /) -> bytes:
        """Return the next bytes, at most 64 KiB, whatever number is asked for."""
        try:
            chunk = self._stream.read(_CHUNK)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise BadInput(
                f"items_uri: {self._name} is not gzip, damaged or cut off (at byte {self._bytes:,} of "
                "the content or later). Write it again."
            ) from None
        self.lines += self._ends
        self._bytes += len(chunk)
        if self._bytes > MAX_DECODED_BYTES:
            raise too_much(self._name, MAX_DECODED_BYTES, "bytes after decompression")
        # Old Macs end lines in a carriage return.
        flat = chunk if b"\n" in chunk else chunk.replace(b"\r", b"\n")
        self._ends = flat.count(b"\n")
        if self._open + (flat.find(b"\n") if self._ends else len(flat)) > MAX_LINE:
            raise too_much(self._name, MAX_LINE, f"bytes in line {self.lines + 1:,}")
        self._open = len(flat) - flat.rfind(b"\n") - 1 if self._ends else self._open + len(flat)
        return chunk
