"""What the published dataset already has of an item: the attribute ``since``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fanfold.readers.values import key_text
from fanfold.workspace.batch import ITEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from fanfold.pipeline import Pipeline
    from fanfold.readers.files import Located


_AHEAD = timedelta(days=1)
"""How far the local date of a source may be ahead of that in UTC."""


def with_since(
    items: Iterable[Located], pipeline: Pipeline, state: Path | None, as_of: datetime
) -> Iterator[Located]:
    """Yield items with the attribute ``since``, as :attr:`Pipeline.cursor` says.

    Args:
        items: Items with their locations.
        pipeline: A pipeline with a cursor.
        state: State of the published dataset; None if there is none, or if it is rebuilt.
        as_of: Logical date of the run. Later values do not count: after a wrong one, the source would
            never again be asked for the days before it.
    """
    newest = _newest_values(state, pipeline.cursor, as_of + _AHEAD) if state else {}
    lag = timedelta(days=pipeline.lag_days)
    for kind, number, key, attributes in items:
        found = newest.get(_canonical(pipeline.check_item, key))
        since = None if found is None else (found - lag).isoformat()
        yield kind, number, key, {**(attributes or {}), "since": since}


def _canonical(check: Callable[[str], str], key: Any) -> str:
    try:
        return check(key_text(key.strip() if isinstance(key, str) else key))
    except ValueError:
        return ""  # it is skipped or reported where the items are written


def _newest_values(state: Path, column: str, until: datetime) -> dict[str, Any]:
    """Return the newest value of a column by item; memory is bounded by the number of items."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    newest: dict[str, Any] = {}
    with pq.ParquetFile(state, pre_buffer=False) as file:
        names = file.schema_arrow.names
        # Rows of another contract that are kept may lack the column, or have texts in it.
        kind = file.schema_arrow.field(column).type if column in names else pa.null()
        if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
            return {}
        has_zone = pa.types.is_timestamp(kind) and kind.tz
        last = pa.scalar(until if has_zone else until.replace(tzinfo=None)).cast(kind, safe=False)
        for batch in file.iter_batches(columns=[ITEM, column], use_threads=False):
            known = batch.filter(pc.less_equal(batch[column], last))
            found = pa.table(known).group_by(ITEM, use_threads=False).aggregate([(column, "max")])
            for item, value in zip(*(each.to_pylist() for each in found.columns), strict=True):
                if item not in newest or value > newest[item]:
                    newest[item] = value
    return newest
