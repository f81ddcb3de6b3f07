"""Readers: produce the items of a run, with their attributes, and check each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput
from fanfold.readers.checking import write_items
from fanfold.readers.files import Located, from_file, from_uri, written_uri
from fanfold.readers.values import check_unique, json_value, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "Located",
    "from_file",
    "from_list",
    "from_rows",
    "from_uri",
    "write_items",
    "written_uri",
]


def from_list(items: Iterable[Any], column: str) -> Iterator[Located]:
    """Yield the items of a Param: strings, integers, or objects with the key as ``column``.

    Raises:
        BadInput: An object has no ``column``.
    """
    for position, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            yield "item", position, item, None
        elif column in item:
            attributes = {name: value for name, value in item.items() if name != column}
            yield "item", position, item[column], attributes
        else:
            raise BadInput(
                f"item {position} is {shortened(item)}: an object needs its key as {column!r}. "
                "Correct the items and trigger a new run."
            )


def from_rows(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], column: str
) -> Iterator[Located]:
    """Yield the items of a query's rows: ``column``, or else the first one, has the keys.

    Raises:
        BadInput: Two columns have the same name.
    """
    check_unique(columns, "items_sql")
    key = columns.index(column) if column in columns else 0
    others = [(place, name) for place, name in enumerate(columns) if place != key]
    for number, row in enumerate(rows, start=1):
        attributes = {name: json_value(row[place]) for place, name in others}
        yield "row", number, row[key], attributes
