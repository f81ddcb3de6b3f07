"""Readers: produce the items of a run from a Param or a file, and check each one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.readers.checking import write_items
from fanfold.readers.files import Located, file_format, from_file, local_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Located", "file_format", "from_file", "from_list", "local_path", "write_items"]


def from_list(items: Iterable[Any]) -> Iterator[Located]:
    """Yield the items of a Param."""
    for position, item in enumerate(items, start=1):
        yield "item", position, item
