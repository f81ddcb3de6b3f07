"""Plan: deduplicate the items, cut them into batches and forecast the run."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.model import BatchRef, KeyForm, Plan, Quotas, utc_text
from fanfold.stages.planning.forecast import forecast, requests_for
from fanfold.workspace.files import read_json, read_jsonl, whole_file, write_json
from fanfold.workspace.history import read_history
from fanfold.workspace.items import find_repeated, unique_lines
from fanfold.workspace.key_index import index_writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.messages import Texts
    from fanfold.sources import Quota
    from fanfold.sources.endpoint import Endpoint
    from fanfold.workspace.items import Repeated
    from fanfold.workspace.paths import Workspace

SINGLE_ITEMS = 32
"""Up to this number of items, each item is a batch, and so a mapped task."""
SMALL_BATCH = 50
"""Below this number of items a batch costs more in its task (about 0.5 s) than in its requests."""
LARGE_BATCH = 2500
"""Maximum number of items of an automatic batch: about 20 MB of records in memory."""
FEW_BATCHES = 8
"""Minimum number of batches: keeps the slots of a small installation busy until the end."""
MOST_BATCHES = 900
"""Maximum number of batches: below Airflow's ``max_map_length`` (1024)."""


def batch_size_for(items: int, wanted: int | None = None) -> int:
    """Return the number of items per batch.

    ``wanted`` is the ``batch_size`` Param; None is automatic.

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
    items_per_request: int = 1,
    quotas: Quotas = Quotas(),  # noqa: B008 - frozen
    key_column: str | None = None,
    key_form: KeyForm = KeyForm(),  # noqa: B008 - frozen
    messages: Texts | None = None,
) -> Plan:
    """Cut the items that ``read_items`` listed into batches; write batches, key index and plan.

    A run that is planned again keeps its first ``started_at``.

    Times are ISO 8601 in UTC; ``wanted_size`` is the ``batch_size`` Param, None for automatic.
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
        forecast=forecast(
            requests_for(items, size, items_per_request),
            quotas,
            read_history(workspace.history),
            datetime.fromisoformat(started_at),
        ),
        items_per_request=items_per_request,
        quotas=quotas,
        key_column=key_column,
        key_form=key_form,
        messages=messages or {},
    )
    write_json(workspace.plan, plan.as_json())
    return plan


def quotas_of(endpoint: Endpoint, per_second: float | None, reported: Quota | None) -> Quotas:
    """Return the quotas of a run.

    ``per_second`` is the ``requests_per_second`` Param, None for the connection's rate limit;
    ``reported`` is the quota that the source reports, if any.
    """
    quotas = Quotas(
        per_second=per_second or endpoint.requests_per_second,
        per_hour=endpoint.requests_per_hour,
    )
    if reported is None or reported.reset_in is None or reported.remaining is None:
        return quotas
    if not reported.limit:
        return quotas
    return replace(
        quotas,
        limit=reported.limit,
        remaining=reported.remaining,
        reset_at=utc_text(datetime.now(UTC) + timedelta(seconds=reported.reset_in)),
        window=reported.window,
    )


def summary(plan: Plan) -> str:
    """Return a plan and its forecast in one sentence, for the log."""
    expected = plan.forecast
    duration = (
        "duration unknown"
        if expected.seconds is None
        else f"about {timedelta(seconds=round(expected.seconds))} (by {expected.basis})"
    )
    return (
        f"{plan.items} items ({plan.duplicates} duplicates removed) in {plan.batches} batches of "
        f"up to {plan.batch_size}: {expected.requests} requests, {duration}."
    )


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
    with whole_file(workspace.batch(batch).items_file) as temporary:
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
            label = str(next(read_jsonl(workspace.batch(batch).items_file)))
        else:
            label = f"items {first}–{first + count - 1}"
        yield BatchRef(batch, count, label)
