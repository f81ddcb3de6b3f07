"""An item over the runs of a DAG: its outcome and its rows in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fanfold.model import Plan
from fanfold.queries.items import brief_item
from fanfold.workspace.files import read_as
from fanfold.workspace.key_index import positions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fanfold.workspace.history import Past
    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class ItemInRun:
    """An item in one run.

    Attributes:
        run_id, logical_date: The run.
        status: Its outcome; None if the run's list does not have it.
        rows: Number of its rows.
        measure: Value of the plan's ``measure``, if the item has one row.
    """

    run_id: str
    logical_date: str
    status: str | None
    rows: int
    measure: Any


def item_history(
    workspace: Workspace, runs: Iterable[Past], key: str, measure: str
) -> list[ItemInRun]:
    """Return an item in some runs, in their order; runs without a plan are omitted.

    Raises:
        Inconsistent: A file of a run is damaged.
    """
    found = []
    for past in runs:
        run = workspace.sibling(past.run_id)
        if not run.plan.exists() or not run.keys.exists():
            continue
        place = positions(run.keys, [key]).get(key)
        if place is None:
            found.append(ItemInRun(past.run_id, past.logical_date, None, 0, None))
            continue
        plan = read_as(run.plan, Plan.from_json)
        item = brief_item(run, plan, place, key, final=run.manifest.exists())
        value = item.row.get(measure) if item.rows == 1 else None
        found.append(ItemInRun(past.run_id, past.logical_date, item.status, item.rows, value))
    return found
