"""What a redrive would fetch again, and its cost in requests."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.model import Status
from fanfold.queries.failures import GroupFilter, keys_of
from fanfold.queries.item_counts import counts_by_batch
from fanfold.workspace.files import read_jsonl
from fanfold.workspace.key_index import positions
from fanfold.workspace.progress import all_closed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fanfold.model import Plan
    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class RedriveScope:
    """The items that are fetched again.

    Attributes:
        items: Number of items of each batch.
        selected: The selected items of each batch; None: all that failed.
        requests: Requests that this takes if none fails.
    """

    items: Mapping[int, int]
    selected: Mapping[int, tuple[str, ...]] | None
    requests: int


def all_failed(workspace: Workspace, plan: Plan) -> RedriveScope:
    """Return what a fetch requests without a selection: all that is neither ``ok`` nor ``missing``."""
    items = {
        batch: found.items.to_fetch
        for batch, found in enumerate(counts_by_batch(workspace, plan))
        if found.items.to_fetch
    }
    return RedriveScope(items, None, _requests(items, plan))


def unprocessed(workspace: Workspace, plan: Plan) -> dict[int, int]:
    """Return the number of items, by batch, that were fetched since the batch was processed.

    Their records are here, but their rows are not: a fetch was cleared without what follows it, or the
    task that processes them was killed.
    """
    closed = all_closed(workspace)
    found = {}
    for number in range(plan.batches):
        batch = workspace.batch(number)
        done = set(closed[number].parts) if number in closed else set()
        new = [outcomes for _, _, outcomes in batch.parts() if outcomes.name not in done]
        fetched = {line["key"]: line["status"] for path in new for line in read_jsonl(path)}
        if items := sum(status == Status.OK for status in fetched.values()):
            found[number] = items
    return found


def selection(
    workspace: Workspace, plan: Plan, keys: Sequence[str], groups: Sequence[str]
) -> RedriveScope:
    """Return selected items, whatever their outcome.

    Requires a consolidated dataset; ``groups`` are ids of failure groups, for all of their items.

    Raises:
        BadInput: The plan has no such item, or the run has no such group.
    """
    wanted = dict.fromkeys(keys)
    if groups:
        choice = GroupFilter(workspace, "items", groups)
        wanted.update(dict.fromkeys(keys_of(workspace, choice)))
    places = positions(workspace.keys, wanted)
    for key in wanted:
        if key not in places:
            raise BadInput(f"The plan of this run has no item {key[:100]!r}.")
    by_batch: dict[int, list[str]] = defaultdict(list)
    for key in sorted(places, key=places.__getitem__):
        by_batch[plan.batch_of(places[key])].append(key)
    items = {batch: len(found) for batch, found in by_batch.items()}
    selected = {batch: tuple(found) for batch, found in by_batch.items()}
    return RedriveScope(items, selected, _requests(items, plan))


def _requests(items: Mapping[int, int], plan: Plan) -> int:
    together = sum(math.ceil(count / plan.items_per_request) for count in items.values())
    return plan.requests_per_item * together
