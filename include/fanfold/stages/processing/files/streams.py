"""The bytes of a file: decompressed, decoded, within limits."""

from __future__ import annotations

import codecs
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from fanfold.messages import ENGINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.messages import Message
    from fanfold.sources import Files
    from fanfold.workspace.batch import FetchedFile

CHUNK = 8 << 20
"""Bytes that are decoded at once."""


class Flaw(Exception):  # noqa: N818 - it is one of the file
    """The file cannot be used; ``message`` says why and where."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def open_file(file: FetchedFile) -> pa.NativeFile:
    """Open a downloaded file: one that shares its blob with others is small and read at once."""
    if file.offset == 0 and file.path.stat().st_size == file.bytes:
        return pa.OSFile(str(file.path))
    with file.path.open("rb") as blob:
        blob.seek(file.offset)
        return pa.BufferReader(blob.read(file.bytes))


def text_chunks(file: pa.NativeFile, compression: str, source: Files) -> Iterator[bytes]:
    """Yield the text of a file as UTF-8 without byte order mark.

    A file that begins with the mark of UTF-8 is UTF-8, as spreadsheets save some files beside others.

    Raises:
        Flaw: The compression or the encoding is damaged, or the text is too large.
    """
    encoding = source.encoding
    decoder = codecs.getincrementaldecoder(encoding)()
    line, is_first = 1, True
    for chunk in chain(_decompressed(file, compression, source.max_decoded_bytes), [b""]):
        if is_first and chunk.startswith(codecs.BOM_UTF8):
            encoding = "utf-8"
            decoder = codecs.getincrementaldecoder(encoding)()
        try:
            text = decoder.decode(chunk, final=not chunk)
            found = (text.removeprefix("\ufeff") if is_first else text).encode()
        except UnicodeError as error:
            before = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
            raise Flaw(
                ENGINE.message(
                    "decode.encoding", line=line + before.count(b"\n"), encoding=encoding
                )
            ) from None
        line += found.count(b"\n")
        is_first = is_first and not text
        yield found


def _decompressed(file: pa.NativeFile, compression: str, limit: int) -> Iterator[bytes]:
    size = 0
    stream = pa.CompressedInputStream(file, compression) if compression else file
    while True:
        try:
            chunk = stream.read(CHUNK)
        except (pa.ArrowException, OSError) as error:
            if getattr(error, "errno", None) is not None:  # the disk, not the file
                raise
            raise Flaw(
                ENGINE.message(
                    "decode.compression",
                    compression=compression,
                    size=f"{size:,}",
                    error=str(error),
                )
            ) from None
        size += len(chunk)
        if size > limit:
            raise Flaw(ENGINE.message("decode.size", limit=f"{limit:,}"))
        if not chunk:
            return
        yield chunk


def check_length(length: int, line: int, source: Files) -> None:
    """Raise :class:`Flaw` if a line has too many bytes."""
    if length > source.max_line_bytes:
        raise Flaw(ENGINE.message("decode.line", line=line, limit=f"{source.max_line_bytes:,}"))
