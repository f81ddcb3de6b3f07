"""JSONL files."""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fanfold.sources.strict_json import parse
from fanfold.stages.processing.files.columns import check_number
from fanfold.stages.processing.files.pieces import RECORDS, Piece, Refused
from fanfold.stages.processing.files.streams import check_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fanfold.sources import Files
    from fanfold.stages.processing.files.columns import Columns

OBJECT = "is a JSON object"
_LAYOUTS = 1_000
"""Sequences of names whose columns are remembered; most files have a few."""


def read_jsonl(
    chunks: Iterable[bytes], source: Files, columns: Columns, extra: dict[str, None]
) -> Iterator[Piece]:
    """Yield the records of a JSONL file; arguments and errors as :func:`read_csv`."""
    names: dict[str, None] = {}
    there: set[str] = set()

    @lru_cache(_LAYOUTS)
    def match(found: tuple[str, ...]) -> dict[str, int]:
        names.update(dict.fromkeys(found))
        check_number(names)
        places = columns.match(found, extra, is_whole=False)
        there.update(places)
        return places

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
                        values = list(document.values())
                        places = match(tuple(document)).items()
                        documents.append({name: values[place] for name, place in places})
                        numbers.append(count)
                    else:
                        refused.append(Refused.at(count, line, each, OBJECT))
                line += 1
            has_records = has_records or bool(documents)
            frame = _frame(documents, numbers, columns.of_frame(extra))
            yield Piece(frame, sum(map(len, some)), refused)
        text = text[end:]
        check_length(len(text), line, source)
    if has_records:
        columns.check(there, names)


def _frame(documents: list[dict[str, Any]], numbers: list[int], columns: list[str]) -> pd.DataFrame:
    values = {name: np.empty(len(documents), object) for name in columns}
    for name, column in values.items():
        column[:] = [document.get(name) for document in documents]
    return pd.DataFrame(values, pd.Index(numbers, dtype=int), columns, dtype=object)
