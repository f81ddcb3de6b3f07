"""JSONL files."""

from __future__ import annotations

import io
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fanfold.messages import ENGINE
from fanfold.sources.strict_json import parse
from fanfold.stages.processing.coercion import shown
from fanfold.stages.processing.files.columns import check_number, normalized
from fanfold.stages.processing.files.pieces import RECORDS, Piece, Refused
from fanfold.stages.processing.files.streams import Flaw, check_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fanfold.sources import Files
    from fanfold.stages.processing.files.columns import Columns

OBJECT = "is a JSON object"


def read_jsonl(
    chunks: Iterable[bytes], source: Files, columns: Columns, extra: dict[str, int]
) -> Iterator[Piece]:
    """Yield the records of a JSONL file; arguments and errors as :func:`read_csv`."""
    reader = _Reader(columns, extra)
    text, line, count, has_records = b"", 1, 0, False
    for chunk in chunks:
        text += chunk
        end = text.rfind(b"\n") + 1 if chunk else len(text)
        lines = io.BytesIO(text[:end])
        while some := list(islice(lines, RECORDS)):
            documents: list[dict[str, Any]] = []
            numbers: list[int] = []
            refused: list[Refused] = []
            for each in some:
                check_length(len(each), line, source)
                if each.strip():
                    count += 1
                    document, _ = parse(each)
                    if isinstance(document, dict):
                        documents.append(reader.named(document))
                        numbers.append(count)
                    else:
                        refused.append(Refused.at(count, line, each, OBJECT))
                line += 1
            has_records = has_records or bool(documents)
            yield Piece(reader.frame(documents, numbers), sum(map(len, some)), refused)
        text = text[end:]
        check_length(len(text), line, source)
    if has_records:
        columns.check(reader.there, reader.names)


class _Reader:
    def __init__(self, columns: Columns, extra: dict[str, int]) -> None:
        self.names: dict[str, str] = {}
        self.there: set[str] = set()
        self._columns = columns
        self._extra = extra

    def named(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document with the pipeline's names."""
        names = self.names
        found: dict[str, Any] = {}
        for name, value in document.items():
            column = names.get(name)
            if column is None:
                column = names[name] = self._column(name)
            if column in found:
                raise Flaw(
                    ENGINE.message(
                        "decode.twice", column=column, names=", ".join(map(repr, document))
                    )
                )
            if column:
                found[column] = value
        return found

    def _column(self, name: str) -> str:
        """Return a column's name in the pipeline; empty if it is dropped."""
        check_number(len(self.names))
        column = self._columns.known.get(normalized(name))
        if column is not None:
            self.there.add(column)
            return column
        column = shown(name.strip())
        self._extra[column] = 0
        if self._columns.extra == "reject":
            raise Flaw(ENGINE.message("decode.extra", columns=column))
        self._columns.check_extra(column, (*self.names, name))
        return column if self._columns.extra == "keep" else ""

    def frame(self, documents: list[dict[str, Any]], numbers: list[int]) -> pd.DataFrame:
        columns = [*self._columns.names, *(self._extra if self._columns.extra == "keep" else ())]
        values = {}
        for name in columns:
            values[name] = np.empty(len(documents), object)
            values[name][:] = [document.get(name) for document in documents]
        return pd.DataFrame(values, pd.Index(numbers, dtype=int), columns, dtype=object)
