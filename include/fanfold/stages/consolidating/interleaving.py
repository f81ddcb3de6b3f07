"""Put the rows of a run between those of the state, in the order of items, without a sort."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fanfold.pipeline import AS_OF
from fanfold.workspace.batch import ITEM

if TYPE_CHECKING:
    from collections.abc import Iterator


def interleaved(old: Iterator[pa.Table], new: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of both, each in the order of items; of an item by ``as_of``, then the old ones."""
    filled = (rows for rows in new if len(rows))
    fresh = next(filled, None)
    for part in old:
        rest = part
        while fresh is not None and len(rest):
            places = _places(rest, fresh)
            # Rows that belong behind the last one may belong behind some of the next part.
            inside = int(np.searchsorted(places, len(rest)))
            if not inside:
                break
            whole = inside == len(fresh)
            end = int(places[-1]) if whole else len(rest)
            yield _inserted(rest.slice(0, end), fresh.slice(0, inside), places[:inside])
            rest = rest.slice(end)
            fresh = next(filled, None) if whole else fresh.slice(inside)
        yield rest
    if fresh is not None:
        yield fresh
    yield from filled


def _places(old: pa.Table, new: pa.Table) -> np.ndarray[Any, Any]:
    """Return for each new row how many of the old ones come before it."""
    items, ends = _item_runs(old)
    dates = old[AS_OF].cast(pa.int64()).to_numpy()
    date = new[AS_OF][0].cast(pa.int64()).as_py()
    new_items, new_ends = _item_runs(new)
    places = []
    for item in new_items:
        before = bisect_right(items, item)
        place = ends[before - 1] if before else 0
        if before and items[before - 1] == item:
            start = ends[before - 2] if before > 1 else 0
            place = start + int(np.searchsorted(dates[start:place], date, "right"))
        places.append(place)
    return np.repeat(np.array(places, np.int64), np.diff([0, *new_ends]))


def _item_runs(rows: pa.Table) -> tuple[list[str], list[int]]:
    """Return each item of sorted rows, and the position behind its last row."""
    encoded = pc.run_end_encode(rows[ITEM].combine_chunks())
    return encoded.values.to_pylist(), encoded.run_ends.to_pylist()


def _inserted(old: pa.Table, new: pa.Table, places: np.ndarray[Any, Any]) -> pa.Table:
    order = np.insert(np.arange(len(old)), places, np.arange(len(old), len(old) + len(new)))
    return pa.concat_tables([old, new]).combine_chunks().take(pa.array(order))
