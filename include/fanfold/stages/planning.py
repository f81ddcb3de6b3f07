"""Plan: remove duplicates, keep order, cut batches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.model import BatchRef, KeyForm, Plan, Quotas
from fanfold.workspace.files import read_json, read_jsonl, whole_file, write_json
from fanfold.workspace.items import find_repeated, unique_lines
from fanfold.workspace.key_index import index_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fanfold.messages import Texts
    from fanfold.model import Forecast
    from fanfold.workspace.items import Repeated
    from fanfold.workspace.paths import Workspace

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
    foretell: Callable[[int, int], Forecast],
    items_per_request: int = 1,
    quotas: Quotas = Quotas(),  # noqa: B008 - frozen
    key_column: str | None = None,
    key_form: KeyForm = KeyForm(),  # noqa: B008 - frozen
    messages: Texts | None = None,
) -> Plan:
    """Cut the items that ``read_items`` listed into batches; write them, their index and the plan.

    A run that is planned again keeps its first ``started_at``.

    Args:
        workspace: The run's workspace, with the list.
        source: The source's name.
        wanted_size: The ``batch_size`` Param, or None for automatic.
        logical_date: The date that the run stands for (ISO 8601, UTC).
        started_at: Now (ISO 8601, UTC).
        foretell: Returns what a run of so many items in batches of such a size takes.
        items_per_request: Items that one request asks for, at most.
        quotas: What the run may ask for.
        key_column: The column of the dataset that holds the items' keys, if one does.
        key_form: What the keys of the source look like.
        messages: The source's own messages.
    """
    repeated = find_repeated(workspace.listed)
    items = repeated.lines - repeated.count
    size = batch_size_for(items, wanted_size)
    _write_batches(workspace, repeated, size)
    plan = Plan(
        source=source,
        items=items,
        duplicates=repeated.count,
        batch_size=size,
        batches=math.ceil(items / size),
        logical_date=logical_date,
        started_at=_first_start(workspace) or started_at,
        forecast=foretell(items, size),
        items_per_request=items_per_request,
        quotas=quotas,
        key_column=key_column,
        key_form=key_form,
        messages=messages or {},
    )
    write_json(workspace.plan, plan.as_json())
    return plan


def _write_batches(workspace: Workspace, repeated: Repeated, size: int) -> None:
    batch = 0
    waiting: list[bytes] = []
    with index_writer(workspace.keys) as add:
        for lines in unique_lines(workspace.listed, repeated):
            add(lines)
            waiting += lines
            while len(waiting) >= size:
                _write_batch(workspace, batch, waiting[:size])
                batch += 1
                del waiting[:size]
    if waiting:
        _write_batch(workspace, batch, waiting)


def _write_batch(workspace: Workspace, batch: int, lines: list[bytes]) -> None:
    with whole_file(workspace.items(batch)) as temporary:
        temporary.write_bytes(b"".join(lines))


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
