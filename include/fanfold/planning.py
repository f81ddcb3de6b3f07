"""Plan: remove duplicates, keep order, cut batches, foretell requests and time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.model import BatchRef, Plan
from fanfold.workspace import read_json, read_jsonl, write_json, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.workspace import Workspace

SINGLE_ITEMS = 32
"""Up to so many items, each is a batch, and so a mapped task, of its own."""
SMALL_BATCH = 50
"""Items below which a batch costs more in its task (some 0.5 s) than in its requests."""
LARGE_BATCH = 2500
"""Items of a batch at which its memory (some 20 MB of records) is still small."""
FEW_BATCHES = 8
"""Batches that keep the slots of a small installation busy to the end."""
MOST_BATCHES = 900
"""Batches that stay clear of Airflow's ``max_map_length`` (1024)."""


def batch_size_for(items: int, wanted: int | None = None) -> int:
    """Return how many items a batch holds.

    Args:
        items: Items of the run.
        wanted: The ``batch_size`` Param, or None for automatic.

    Raises:
        BadInput: ``wanted`` makes more batches than Airflow maps over.
    """
    if wanted is not None:
        if math.ceil(items / wanted) > MOST_BATCHES:
            raise BadInput(
                f"batch_size={wanted} cuts {items} items into more than {MOST_BATCHES} batches. "
                f"Set it to {math.ceil(items / MOST_BATCHES)} or more, or leave it empty."
            )
        return wanted
    if items <= SINGLE_ITEMS:
        return 1
    even = math.ceil(items / FEW_BATCHES)
    return max(SMALL_BATCH, min(even, LARGE_BATCH), math.ceil(items / MOST_BATCHES))


def write_plan(  # noqa: PLR0913 - the facts of a plan
    workspace: Workspace,
    *,
    source: str,
    wanted_size: int | None,
    logical_date: str,
    started_at: str,
    requests_per_second: float | None,
    requests_per_hour: float | None,
) -> Plan:
    """Cut the items that ``read_items`` listed into batches; write them and the plan.

    A run that is planned again keeps its first ``started_at``.
    """
    unique: dict[str, None] = {}
    listed = 0
    for item in read_jsonl(workspace.listed):
        listed += 1
        unique[item] = None
    size = batch_size_for(len(unique), wanted_size)
    items = list(unique)
    batches = math.ceil(len(items) / size)
    for batch in range(batches):
        write_jsonl(workspace.items(batch), items[batch * size : (batch + 1) * size])
    plan = Plan(
        source=source,
        items=len(items),
        duplicates=listed - len(items),
        batch_size=size,
        batches=batches,
        logical_date=logical_date,
        started_at=_first_start(workspace) or started_at,
        seconds=forecast(len(items), requests_per_second, requests_per_hour),
    )
    write_json(workspace.plan, plan.as_json())
    return plan


def _first_start(workspace: Workspace) -> str | None:
    if not workspace.plan.exists():
        return None
    return Plan.from_json(read_json(workspace.plan)).started_at


def batch_refs(workspace: Workspace, plan: Plan) -> Iterator[BatchRef]:
    """Yield a reference to each batch of a plan, in order."""
    for batch in range(plan.batches):
        first = batch * plan.batch_size + 1
        count = min(plan.batch_size, plan.items - first + 1)
        if plan.batch_size == 1:
            label = str(next(read_jsonl(workspace.items(batch))))
        else:
            label = f"items {first}–{first + count - 1}"
        yield BatchRef(batch, count, label)


def forecast(
    items: int, requests_per_second: float | None, requests_per_hour: float | None
) -> float | None:
    """Return the seconds that ``items`` requests take under a quota, or None without a quota.

    A spent hour is waited for: 2,500 requests under 1,000 an hour take two full hours and what the
    last 500 take.
    """
    if requests_per_second is None and requests_per_hour is None:
        return None
    pace = requests_per_second or math.inf
    if requests_per_hour is None or items <= requests_per_hour:
        return items / pace
    hours, rest = divmod(items, requests_per_hour)
    if rest == 0:
        hours, rest = hours - 1, requests_per_hour
    return hours * 3600 + rest / pace
