"""What the published dataset already has of an item: the attribute ``since``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fanfold.workspace.batch import ITEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from fanfold.pipeline import Pipeline
    from fanfold.readers.files import Located


def with_since(
    items: Iterable[Located], pipeline: Pipeline, state: Path | None
) -> Iterator[Located]:
    """Yield items with the attribute ``since``, as :attr:`Pipeline.cursor` says.

    Args:
        items: Items with their locations.
        pipeline: A pipeline with a cursor.
        state: State of the published dataset; None if there is none, or if it is rebuilt.
    """
    newest = _newest_values(state, pipeline.cursor) if state else {}
    lag = timedelta(days=pipeline.lag_days)
    for kind, number, key, attributes in items:
        found = newest.get(_canonical(pipeline.check_item, str(key).strip()))
        since = None if found is None else (found - lag).isoformat()
        yield kind, number, key, {**(attributes or {}), "since": since}


def _canonical(check: Callable[[str], str], key: str) -> str:
    try:
        return check(key)
    except ValueError:
        return key  # it is reported where the items are written


def _newest_values(state: Path, column: str) -> dict[str, Any]:
    """Return the newest value of a column by item; memory is bounded by the number of items."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    newest: dict[str, Any] = {}
    with pq.ParquetFile(state, pre_buffer=False) as file:
        for batch in file.iter_batches(columns=[ITEM, column], use_threads=False):
            found = pa.table(batch).group_by(ITEM, use_threads=False).aggregate([(column, "max")])
            for item, value in zip(*(each.to_pylist() for each in found.columns), strict=True):
                if value is not None and (item not in newest or value > newest[item]):
                    newest[item] = value
    return newest
