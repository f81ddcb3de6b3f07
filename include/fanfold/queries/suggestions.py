"""Items that fit what a user types: by key, and by the label of their row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from fanfold.queries.dataset import readable
from fanfold.queries.items import brief_item
from fanfold.workspace.key_index import containing, positions, starting_with

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.model import Plan
    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An item: its key, the label of a row of it if there is one, and its outcome or ``waiting``."""

    key: str
    label: str | None
    status: str


def suggest(
    workspace: Workspace, plan: Plan, typed: str, limit: int, *, final: bool
) -> list[Suggestion]:
    """Return the first items whose key begins with a text, and then those with a label that contains it.

    Of files, the key may contain it. Labels are those of the dataset, if it has a column with the items'
    keys; they are compared without case. ``final`` is whether the run is consolidated.

    Raises:
        Inconsistent: The key index, the dataset or a file of a batch is damaged.
    """
    index = workspace.keys
    keys = starting_with(index, typed, limit)
    if not keys:
        keys = starting_with(index, plan.key_form.canonical(typed), limit)
    if not keys and plan.bytes:
        keys = containing(index, typed, limit)
    dataset = workspace.table(plan.dataset)
    labels: dict[str, str] = {}
    if plan.label and plan.key_column and len(keys) < limit and dataset.exists():
        labels = _labelled(dataset, plan.key_column, plan.label, typed, limit)
        keys = list(dict.fromkeys([*keys, *labels]))[:limit]
    places = positions(index, keys)
    items = [
        brief_item(workspace, plan, places[key], key, final=final) for key in keys if key in places
    ]
    found = [(item, labels.get(item.key, item.row.get(plan.label))) for item in items]
    return [
        Suggestion(item.key, None if name is None else str(name), item.status)
        for item, name in found
    ]


def _labelled(path: Path, key: str, label: str, typed: str, limit: int) -> dict[str, str]:
    """Return key and label of the first rows, one a key, whose label contains a text.

    One row group is in memory at a time; 1,000,000 rows take 0.1 CPU seconds.
    """
    found: dict[str, str] = {}
    with readable(path), pq.ParquetFile(path) as file:
        if not {key, label} <= set(file.schema_arrow.names):
            return {}
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, columns=[key, label], use_threads=False)
            texts = rows[label].cast("string")
            fits = pc.match_substring(texts, typed, ignore_case=True)
            keys, names = (
                each.filter(fits).to_pylist() for each in (rows[key].cast("string"), texts)
            )
            for each, name in zip(keys, names, strict=True):
                found.setdefault(each, name)
            if len(found) >= limit:
                break
    return found
