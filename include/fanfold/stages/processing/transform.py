"""The transform of a pipeline, from records to rows.

An exception in it is narrowed down to the records that cause it, and costs only these.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from fanfold.errors import BadPipeline
from fanfold.injection import inject, parameters_of
from fanfold.model import Rejected
from fanfold.stages.processing.coercion import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from fanfold.model import Item
    from fanfold.pipeline import Pipeline

BROKEN_IN_A_ROW = 100
"""Number of consecutive broken records after which records are transformed one at a time."""


@dataclass(frozen=True, slots=True)
class Records:
    """Some records, as a transform gets them.

    Attributes:
        keys: The item of each record.
        numbers: Its number in the item, from 1.
        frame: Returns them as a frame; its index is ``keys``.
        documents: Returns them one by one.
        rejected: Records that could not be read.
    """

    keys: Sequence[str] | pd.Index
    numbers: Any
    frame: Callable[[], pd.DataFrame]
    documents: Callable[[], Sequence[Any]]
    rejected: Sequence[Rejected] = ()

    @classmethod
    def of_items(cls, fetched: Sequence[tuple[str, Sequence[Any]]]) -> Self:
        """Return the records of some items: each key with its JSON documents."""
        keys = [key for key, records in fetched for _ in records]
        documents = [record for _, records in fetched for record in records]
        numbers = [n for _, some in fetched for n in range(1, len(some) + 1)]
        return cls(keys, numbers, lambda: _frame(keys, documents), lambda: documents)


def asks_for_items(pipeline: Pipeline) -> bool:
    """Return whether the transform has a parameter for the items' attributes."""
    function = pipeline.transform or pipeline.each
    return function is not None and not parameters_of(function).isdisjoint({"items", "item"})


def transform_records(
    pipeline: Pipeline,
    records: Records,
    items: Mapping[str, Item],
    as_of: datetime,
) -> tuple[pd.DataFrame, list[Rejected]]:
    """Return the rows of some items, and the records for which the transform raised an exception.

    Args:
        pipeline: The pipeline.
        records: The records.
        items: Items by key, if the transform asks for them.
        as_of: Logical date of the run.

    Raises:
        BadPipeline: The transform returns something else than rows with the items' keys.
    """
    rejected = _Rejections(pipeline, records)
    if pipeline.each:
        return _each(pipeline, records, items, as_of, rejected), rejected.found
    frame = records.frame()
    if not pipeline.transform:
        return frame, []
    attributes = None
    if items:
        keys = frame.index.unique().tolist()
        attributes = _frame(keys, [dict(items[key].attributes) for key in keys])
    pieces = list(_bisect(pipeline, frame, attributes, as_of, rejected))
    if len(pieces) > 1:
        # All good records once more together: a transform may compare those of an item.
        good = frame.iloc[[n for n in range(len(frame)) if n not in rejected.records]]
        pieces = list(_bisect(pipeline, good, attributes, as_of, None)) or pieces
    if len(pieces) != 1:  # types may differ, and joining them must not change values
        pieces = [piece.astype(object) for piece in pieces]
    return (pd.concat(pieces) if pieces else frame.iloc[:0]), rejected.found


class _Rejections:
    """Collects the records for which the transform raised an exception."""

    def __init__(self, pipeline: Pipeline, records: Records) -> None:
        self.found: list[Rejected] = []
        self.records: set[int] = set()
        self._of = records
        function: Any = pipeline.transform or pipeline.each
        self._file = getattr(getattr(function, "__code__", None), "co_filename", "")

    def add(self, record: int, error: Exception) -> None:
        text = f"{error}" or type(error).__name__
        rule = f"{type(error).__name__} in {self._place(error)}"
        key, number = self._of.keys[record], int(self._of.numbers[record])
        self.records.add(record)
        self.found.append(Rejected(key, number, "", shown(text), rule))

    def _place(self, error: Exception) -> str:
        """Return file and line of the deepest frame in the pipeline's file, else of the deepest."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == self._file] or frames
        return f"{Path(own[-1].filename).name}:{own[-1].lineno}"


def _frame(keys: Sequence[str], records: Sequence[Any]) -> pd.DataFrame:
    """Return records as a frame of objects, as JSON gives them; a record that is none is ``value``."""
    rows = [record if isinstance(record, dict) else {"value": record} for record in records]
    index = pd.Index(keys, name="item")
    try:
        return pd.DataFrame(rows, index=index, dtype=object)
    except UnicodeEncodeError:  # a name with a lone surrogate
        rows = [{shown(name): value for name, value in row.items()} for row in rows]
        return pd.DataFrame(rows, index=index, dtype=object)


def _bisect(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    attributes: pd.DataFrame | None,
    as_of: datetime,
    rejected: _Rejections | None,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of all records that the transform does not raise an exception for.

    Without ``rejected`` it is called once, and nothing is yielded if it raises.
    """
    function: Any = pipeline.transform
    ranges = [(0, len(frame))]
    broken = 0
    while ranges:
        start, end = ranges.pop()
        if broken < BROKEN_IN_A_ROW or end - start == 1:
            records = frame.iloc[start:end]
            items = None if attributes is None else attributes.loc[records.index.unique()]
            try:
                rows = inject(function, items=items, as_of=as_of)(records)
            except (BadPipeline, MemoryError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever an author's code raises
                if rejected is None:
                    return
                if end - start == 1:
                    rejected.add(start, error)
                    broken += 1
                    continue
            else:
                broken = 0
                _check_frame(pipeline, rows, records.index)
                yield rows
                continue
        middle = _middle(frame.index, start, end)
        ranges += [(middle, end), (start, middle)]


def _middle(index: pd.Index, start: int, end: int) -> int:
    """Return where to divide records: between two items, or within the only one."""
    middle = (start + end) // 2
    if index[start] == index[end - 1]:
        return middle
    key = index[middle]
    first, last = middle, middle
    while first > start and index[first - 1] == key:
        first -= 1
    while last < end and index[last] == key:
        last += 1
    return first if first > start else last


def _check_frame(pipeline: Pipeline, rows: Any, index: pd.Index) -> None:
    name = getattr(pipeline.transform, "__name__", "transform")
    what = f"{pipeline.name}: {name}()"
    if not isinstance(rows, pd.DataFrame):
        raise BadPipeline(f"{what} must return a DataFrame of rows, not {type(rows).__name__}.")
    if not rows.columns.is_unique:
        twice = rows.columns[rows.columns.duplicated()][0]
        raise BadPipeline(f"{what} returns two columns {twice!r}; rename one of them.")
    if rows.index is index:
        return
    is_known = index.unique().get_indexer(rows.index) >= 0
    if not is_known.all():
        unknown = rows.index[~is_known][0]
        raise BadPipeline(
            f"{what} returns rows whose index is not the item's key, for example {unknown!r}. Keep "
            "the index of the records: no reset_index(), and after a merge or groupby set_index() "
            "with the item."
        )


def _each(
    pipeline: Pipeline,
    records: Records,
    items: Mapping[str, Item],
    as_of: datetime,
    rejected: _Rejections,
) -> pd.DataFrame:
    function: Any = pipeline.each
    call = inject(function, as_of=as_of)
    found_keys: list[str] = []
    rows: list[dict[str, Any]] = []
    for number, (key, record) in enumerate(zip(records.keys, records.documents(), strict=True)):
        try:
            found = call(record, item=items[key]) if items else call(record)
            some = None if found is None else list(found)
        except (BadPipeline, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever an author's code raises
            rejected.add(number, error)
            continue
        if some is None or not all(isinstance(row, dict) for row in some):
            raise BadPipeline(
                f"{pipeline.name}: {getattr(function, '__name__', 'each')}() must yield the rows of "
                "a record as dicts."
            )
        found_keys += [key] * len(some)
        rows += some
    return _frame(found_keys, rows)
