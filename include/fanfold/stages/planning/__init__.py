"""Plan: deduplicate the items, cut them into batches and forecast the run."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fanfold import formats
from fanfold.model import BatchRef, Plan, Quotas, utc_text
from fanfold.pipeline import AS_OF
from fanfold.sources import Api, Compute, Files, Function
from fanfold.stages.planning.forecast import forecast, requests_for
from fanfold.stages.planning.packing import (
    MOST_BATCHES,
    SINGLE_ITEMS,
    batch_size_for,
    pack,
)
from fanfold.workspace.files import read_json, read_jsonl, whole_file, write_json
from fanfold.workspace.history import read_history
from fanfold.workspace.items import count_conflicts, find_repeated, unique_lines
from fanfold.workspace.key_index import index_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from fanfold.messages import Message
    from fanfold.pipeline import Pipeline
    from fanfold.sources import Quota, Source
    from fanfold.sources.endpoint import Endpoint
    from fanfold.workspace.history import Past
    from fanfold.workspace.items import Repeated
    from fanfold.workspace.paths import Workspace

__all__ = [
    "MOST_BATCHES",
    "batch_refs",
    "batch_size_for",
    "quotas_of",
    "summary",
    "write_plan",
]


def write_plan(  # noqa: PLR0913 - the facts of a plan
    workspace: Workspace,
    pipeline: Pipeline,
    *,
    wanted_size: int | None,
    logical_date: str,
    started_at: str,
    items_per_request: int = 1,
    quotas: Quotas = Quotas(),  # noqa: B008 - frozen
    places: tuple[str, ...] = (),
    pause: float = 0.0,
    items_from: Message | None = None,
) -> Plan:
    """Cut the items that ``read_items`` listed into batches; write batches, key index and plan.

    Files are packed by number and by bytes, other items by number.

    Of items with the same key, the first one is planned, with its attributes. A run that is planned
    again keeps its first ``started_at``.

    Args:
        workspace: That of the run.
        pipeline: Its pipeline.
        wanted_size: The ``batch_size`` Param; None is automatic.
        logical_date: Logical date of the run (ISO 8601, UTC).
        started_at: The current time (ISO 8601, UTC).
        items_per_request: Maximum number of items per request of an :class:`~fanfold.sources.Api`.
        quotas: Its quotas.
        places: Where its requests go.
        pause: Seconds until the first request may be sent.
        items_from: Where the list comes from.
    """
    repeated = find_repeated(workspace.listed)
    items = repeated.lines - repeated.count
    size = batch_size_for(items, wanted_size)
    sizes = _file_sizes(workspace, repeated) if isinstance(pipeline.source, Files) else None
    starts = tuple(range(0, items, size)) if sizes is None else pack(sizes, size)
    conflicts = _write_batches(workspace, repeated, starts)
    total = sum(sizes or ())
    source = pipeline.source
    past = read_history(workspace.history)
    per_item = _requests_per_item(source, past)
    plan = Plan(
        source=pipeline.name,
        items=items,
        duplicates=repeated.count,
        starts=starts,
        logical_date=logical_date,
        started_at=_first_start(workspace) or started_at,
        forecast=forecast(
            0
            if isinstance(source, Compute)
            else per_item * requests_for(items, size, items_per_request),
            quotas,
            past,
            datetime.fromisoformat(started_at),
            items=items,
            size=total,
            pause=pause,
        ),
        items_per_request=items_per_request,
        requests_per_item=per_item,
        quotas=quotas,
        key_column=_key_column(pipeline),
        key_form=pipeline.key_form,
        messages=pipeline.source.messages,
        pipeline=pipeline.name,
        noun=pipeline.noun if isinstance(pipeline.noun, tuple) else (pipeline.noun,) * 2,
        dataset=pipeline.dataset,
        row_key=tuple(pipeline.key),
        folds=tuple(fold.name for fold in pipeline.folds),
        table_prefix=pipeline.table_prefix,
        label=pipeline.label,
        measure=pipeline.measure,
        not_compared=(AS_OF, *pipeline.not_compared),
        conflicts=conflicts,
        bytes=total,
        mode=pipeline.mode,
        places=places,
        items_from=items_from,
    )
    write_json(workspace.plan, plan.as_json())
    return plan


def _requests_per_item(source: Source, past: Sequence[Past]) -> int:
    """Return the number of requests that an item takes; of pages, as many as in the latest run."""
    if isinstance(source, Function):
        return len(source.names)
    planned = past[-1].counts.planned if past and isinstance(source, Api) and source.pages else 0
    return max(1, round(past[-1].requests / planned)) if planned else 1


def _file_sizes(workspace: Workspace, repeated: Repeated) -> Sequence[int]:
    """Return the sizes in bytes of the listed files, without duplicates; 0 where it is unknown."""
    sizes = array("Q")
    if workspace.listed_attributes.exists():
        for lines in unique_lines(workspace.listed_attributes, repeated):
            sizes.extend(json.loads(line).get("size", 0) for line in lines)
    return sizes or array("Q", bytes(8 * (repeated.lines - repeated.count)))


def _key_column(pipeline: Pipeline) -> str | None:
    """Return the column of the contract that holds the item's key, if there is one."""
    contract = pipeline.contract
    schema = contract.to_schema() if hasattr(contract, "to_schema") else contract
    return pipeline.item_column if pipeline.item_column in schema.columns else None


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
        f"{formats.duration_range(*expected.seconds)} (by {expected.basis})"
        if expected.seconds
        else "duration unknown"
    )
    dropped = f"{plan.duplicates} duplicates removed"
    if plan.conflicts:
        dropped += f", with {plan.conflicts} other sets of attributes"
    requests = f"{expected.requests} requests, " if expected.requests else ""
    size = f", {formats.size(plan.bytes)}" if plan.bytes else ""
    places = f" from {', '.join(plan.places)}" if plan.places else ""
    return f"{plan.items} items{size}{places} ({dropped}) in {plan.batches} batches: {requests}{duration}."


def _write_batches(workspace: Workspace, repeated: Repeated, starts: Sequence[int]) -> int:
    """Write keys, attributes and key index; return the number of conflicts between attributes."""
    attributes = workspace.listed_attributes
    for outdated in workspace.listed.parent.glob("[0-9]*.attributes.jsonl"):
        outdated.unlink()  # of a plan before this one
    with index_writer(workspace.keys) as add:
        for batch, lines in _cut(_indexed(unique_lines(workspace.listed, repeated), add), starts):
            _write_lines(workspace.batch(batch).items_file, lines)
    if not attributes.exists():
        return 0
    for batch, lines in _cut(unique_lines(attributes, repeated), starts):
        _write_lines(workspace.batch(batch).attributes_file, lines)
    return count_conflicts(workspace.listed, attributes, repeated)


def _indexed(
    blocks: Iterable[list[bytes]], add: Callable[[list[bytes]], None]
) -> Iterator[list[bytes]]:
    for lines in blocks:
        add(lines)
        yield lines


def _cut(blocks: Iterable[list[bytes]], starts: Sequence[int]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the lines of each batch with its number; ``starts`` are the positions of the first lines."""
    batch = 0
    waiting: list[bytes] = []
    for lines in blocks:
        waiting += lines
        while batch + 1 < len(starts) and len(waiting) >= starts[batch + 1] - starts[batch]:
            size = starts[batch + 1] - starts[batch]
            yield batch, waiting[:size]
            batch += 1
            del waiting[:size]
    if waiting:
        yield batch, waiting


def _write_lines(path: Path, lines: list[bytes]) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(b"".join(lines))


def _first_start(workspace: Workspace) -> str | None:
    if not workspace.plan.exists():
        return None
    return Plan.from_json(read_json(workspace.plan)).started_at


def batch_refs(workspace: Workspace, plan: Plan) -> Iterator[BatchRef]:
    """Yield a reference to each batch of a plan, in order."""
    for batch, start in enumerate(plan.starts):
        first, count = start + 1, plan.items_of(batch)
        if plan.items <= SINGLE_ITEMS and count == 1:
            label = str(next(read_jsonl(workspace.batch(batch).items_file)))
        else:
            label = f"items {first}–{first + count - 1}" if count > 1 else f"item {first}"
        yield BatchRef(batch, count, label)
