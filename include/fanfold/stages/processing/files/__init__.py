"""Read files as records, in slices of bounded memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fanfold.messages import ENGINE
from fanfold.model import Rejected
from fanfold.stages.processing.coercion import shown
from fanfold.stages.processing.contract import contract_of
from fanfold.stages.processing.files.columns import columns_of
from fanfold.stages.processing.files.delimited import read_csv
from fanfold.stages.processing.files.documents import read_jsonl
from fanfold.stages.processing.files.parquet import read_parquet
from fanfold.stages.processing.files.pieces import RECORDS, Piece
from fanfold.stages.processing.files.streams import CHUNK, Flaw, open_file, text_chunks
from fanfold.stages.processing.transform import Records

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from fanfold.messages import Message
    from fanfold.pipeline import Pipeline
    from fanfold.sources import Files
    from fanfold.stages.processing.contract import Contract
    from fanfold.workspace.batch import FetchedFile

_FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_COMPRESSIONS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_PIECES = 250
"""Pieces of a slice; 2,000 tiny files at once took 230 MB."""
_TOGETHER = 4 * CHUNK
"""Bytes of consecutive records that belong together."""


class FileReader:
    """Reads the files of a batch.

    Attributes:
        flaws: Why files are invalid, by key. Their records in earlier slices do not count.
        dropped: Number of valid files that have a column that the pipeline does not name, by its name.

    Raises:
        BadPipeline: The columns of the source are wrong.
    """

    def __init__(self, pipeline: Pipeline, source: Files, contract: Contract) -> None:
        self.flaws: dict[str, Message] = {}
        self.dropped: Counter[str] = Counter()
        self._source = source
        self._columns = columns_of(pipeline, source, contract)

    def slices(self, files: Iterable[FetchedFile]) -> Generator[Records]:
        """Yield the records of files in slices of about 8 MB of text or 50,000 records.

        A slice may hold several files, if their columns and types are the same.
        """
        pending: list[tuple[str, Piece]] = []
        size = 0
        for file in files:
            key = file.outcome.key
            extra: dict[str, None] = {}
            try:
                for piece in self._pieces(file, extra):
                    if pending and not pending[-1][1].frame.dtypes.equals(piece.frame.dtypes):
                        yield _slice(pending)
                        pending, size = [], 0
                    pending.append((key, piece))
                    size += max(piece.bytes, len(piece.frame) * CHUNK // RECORDS)
                    if size >= CHUNK or len(pending) >= _PIECES:
                        yield _slice(pending)
                        pending, size = [], 0
            except Flaw as flaw:
                self.flaws[key] = flaw.message
                pending = [each for each in pending if each[0] != key]
            else:
                if self._source.extra == "drop":
                    self.dropped.update(map(shown, extra))
        if pending:
            yield _slice(pending)

    def _pieces(self, file: FetchedFile, extra: dict[str, None]) -> Iterator[Piece]:
        """Yield the records of a file in pieces that end where a slice may end."""
        source = self._source
        with open_file(file) as stream:
            form, compression = _form(file.outcome.key, source)
            if form == "parquet":
                pieces = read_parquet(stream, source, self._columns, extra)
            else:
                read = read_csv if form == "csv" else read_jsonl
                chunks = text_chunks(stream, compression, source)
                pieces = read(chunks, source, self._columns, extra)
            if source.together:
                yield from _together(pieces, source.together)
            else:
                for piece in pieces:
                    yield from piece.parts(RECORDS)


def first_records(pipeline: Pipeline, source: Files, file: FetchedFile) -> pd.DataFrame:
    """Return the records of the first slice of a file, with their types as read; none if it is invalid."""
    slices = FileReader(pipeline, source, contract_of(pipeline)).slices([file])
    with contextlib.closing(slices):
        first = next(slices, None)
        return pd.DataFrame() if first is None else first.frame()


def _form(key: str, source: Files) -> tuple[str, str]:
    """Return format and compression of a file."""
    path = PurePosixPath(key.lower())
    compression = source.compression or _COMPRESSIONS.get(path.suffix, "")
    if path.suffix in _COMPRESSIONS:
        path = path.with_suffix("")
    compression = compression.removeprefix("none")
    form = source.format or _FORMATS.get(path.suffix, "")
    if not form or (form == "parquet" and compression):
        raise Flaw(ENGINE.message("decode.format", file=key.rpartition("/")[2]))
    return form, compression


def _together(pieces: Iterable[Piece], column: str) -> Iterator[Piece]:
    """Yield pieces that do not end between two records with the same value of a column."""
    held = None
    for piece in pieces:
        whole = piece if held is None else held.before(piece)
        values = whole.frame[column].astype(object).to_list()
        start = len(values)
        while start and _same(values[start - 1], values[-1]):
            start -= 1
        ready, held = whole.split(start)
        if held.bytes > _TOGETHER:
            raise Flaw(ENGINE.message("decode.together", column=column, limit=f"{_TOGETHER:,}"))
        yield ready
    if held is not None:
        yield held


def _same(value: Any, other: Any) -> bool:
    return value is other or (pd.NA is not value and pd.NA is not other and bool(value == other))


def _slice(pending: list[tuple[str, Piece]]) -> Records:
    """Return the records of some files as one slice."""
    frames = [piece.frame for _, piece in pending]
    frame = frames[0] if len(frames) == 1 else pd.concat(frames)
    numbers = frame.index.to_numpy()
    keys = np.repeat(np.array([key for key, _ in pending], object), [len(each) for each in frames])
    frame.index = pd.Index(keys, name="item", dtype="str")
    return Records(
        frame.index,
        numbers,
        frame=lambda: frame,
        documents=lambda: frame.astype(object).where(frame.notna(), None).to_dict("records"),
        rejected=[
            Rejected(key, number, "", value, rule)
            for key, piece in pending
            for number, value, rule in piece.refused
        ],
    )
