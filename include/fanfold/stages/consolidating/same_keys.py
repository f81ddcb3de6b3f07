"""Rows of a dataset with the key of another row: which of them are one, and how many are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fanfold.pipeline import AS_OF, DATASET
from fanfold.workspace.batch import ITEM
from fanfold.workspace.files import jsonl_writer
from fanfold.workspace.same import SAME
from fanfold.workspace.sql import open_tables, query_errors, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from fanfold.pipeline import Pipeline
    from fanfold.workspace.paths import Workspace

_SAME = """
    WITH found AS (
        SELECT start + file_row_number AS place, {item} AS item, {key}, hash({others}) AS digest
        FROM read_parquet($paths, filename = true, file_row_number = true) JOIN starts USING (filename)
    ), first AS (
        SELECT *, first_value(item) OVER same AS same_as, first_value(digest) OVER same AS digest_of_first,
               count(*) OVER (PARTITION BY item) AS rows_of_item
        FROM found WINDOW same AS (PARTITION BY {numbered} ORDER BY place)
    )
    SELECT place, item, same_as, digest <> digest_of_first AS differs FROM first
    WHERE item <> same_as AND (digest = digest_of_first OR rows_of_item = 1) ORDER BY place"""


def repeated_keys(workspace: Workspace, pipeline: Pipeline) -> int:
    """Return the number of rows of the dataset whose key an earlier row has, too."""
    dataset = workspace.table(pipeline.dataset)
    key = ", ".join(map(quoted, pipeline.key))
    query = f"SELECT count(*) - count(DISTINCT ({key})) FROM {DATASET}"  # noqa: S608 - quoted names
    with (
        open_tables({DATASET: dataset}, workspace.spill) as connection,
        query_errors(_of(pipeline)),
    ):
        (repeated,) = connection.execute(query).fetchone() or (0,)
    return int(repeated)


@dataclass(frozen=True, slots=True)
class SameRows:
    """Rows that are left out, because an earlier item has given their row.

    Attributes:
        places: Their positions among the rows of all batches, ascending.
        differing: How many of them have other values than the row that is kept.
    """

    places: np.ndarray[Any, Any]
    differing: int

    def left_out(self, rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all batches without these."""
        start = 0
        for part in rows:
            end = start + len(part)
            inside = self.places[slice(*np.searchsorted(self.places, (start, end)))]
            kept = np.ones(len(part), bool)
            kept[inside - start] = False
            yield part.filter(pa.array(kept)) if len(inside) else part
            start = end


def find_same(
    workspace: Workspace,
    pipeline: Pipeline,
    schema: pa.Schema,
    paths: Sequence[Path],
    rows: Sequence[int],
) -> SameRows:
    """Find rows of items that are another name of an earlier item, and list them in :data:`SAME`.

    A row is the same as the first one with its key, of an earlier item, if all of its columns are equal but
    the item's name. Where an item has this row only, the row may differ: the key says what the item is, and
    it has changed between two requests. Other rows with the same key are different rows.

    Args:
        workspace: That of the run.
        pipeline: The pipeline.
        schema: Schema of the dataset.
        paths: Files with the rows of the batches, all in one folder.
        rows: Number of rows of each.
    """
    ignored = {*pipeline.key, pipeline.item_column, AS_OF}
    others = [
        # DuckDB's digests of null, [] and [null] are the same.
        quoted(field.name) + "::VARCHAR" * pa.types.is_nested(field.type)
        for field in schema
        if field.name not in ignored
    ]
    numbered = [f"k{place}" for place in range(len(pipeline.key))]
    query = _SAME.format(
        item=quoted(ITEM),
        key=", ".join(
            f"{quoted(name)} AS {k}" for name, k in zip(pipeline.key, numbered, strict=True)
        ),
        numbered=", ".join(numbered),
        others=", ".join(others) or "0",
    )
    names = [str(path) for path in paths]
    starts = pa.table({"filename": names, "start": np.cumsum([0, *rows[:-1]])})
    places: list[np.ndarray[Any, Any]] = [np.empty(0, np.int64)]
    differing = 0
    with (
        open_tables({"batch": paths[0]}, workspace.spill) as connection,
        query_errors(_of(pipeline)),
        jsonl_writer(workspace.dataset / SAME) as add,
    ):
        connection.register("starts", starts)
        for part in connection.sql(query, params={"paths": names}).to_arrow_reader(10_000):
            places.append(part["place"].to_numpy())
            for row in part.drop_columns(["place"]).to_pylist():
                differing += row["differs"]
                add(row)
    return SameRows(np.concatenate(places), differing)


def _of(pipeline: Pipeline) -> str:
    return f"The key of pipeline {pipeline.name!r}"
