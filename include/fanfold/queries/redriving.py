"""What a redrive would fetch again, and what that costs."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.queries.failed import Choice, keys_of
from fanfold.queries.tallies import batch_tallies
from fanfold.workspace.key_index import positions
from fanfold.workspace.paths import FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fanfold.model import Plan
    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class Scope:
    """What is fetched again.

    Attributes:
        items: How many items of each batch.
        selected: Of a selection, the items of each batch; None: all that failed.
        requests: Requests that this takes, if none fails.
    """

    items: Mapping[int, int]
    selected: Mapping[int, tuple[str, ...]] | None
    requests: int


def all_that_failed(workspace: Workspace, plan: Plan) -> Scope:
    """Return what a fetch asks for by itself: all that is neither ``ok`` nor ``missing``."""
    items = {
        batch: found.tally.to_fetch
        for batch, found in enumerate(batch_tallies(workspace, plan))
        if found.tally.to_fetch
    }
    return Scope(items, None, _requests(items, plan))


def selection(
    workspace: Workspace, plan: Plan, keys: Sequence[str], groups: Sequence[str]
) -> Scope:
    """Return some items, whatever became of them.

    Args:
        workspace: The run's workspace; its dataset is consolidated.
        plan: Its plan.
        keys: Keys of items.
        groups: Ids of groups of failures; all of their items are meant.

    Raises:
        BadInput: The plan has no such item, or the run no such group.
    """
    wanted = dict.fromkeys(keys)
    if groups:
        choice = Choice(workspace, groups)
        wanted.update(dict.fromkeys(keys_of(workspace.dataset / FAILED, choice)))
    places = positions(workspace.keys, wanted)
    for key in wanted:
        if key not in places:
            raise BadInput(f"The plan of this run has no item {key[:100]!r}.")
    by_batch: dict[int, list[str]] = defaultdict(list)
    for key in sorted(places, key=places.__getitem__):
        by_batch[plan.batch_of(places[key])].append(key)
    items = {batch: len(found) for batch, found in by_batch.items()}
    selected = {batch: tuple(found) for batch, found in by_batch.items()}
    return Scope(items, selected, _requests(items, plan))


def _requests(items: Mapping[int, int], plan: Plan) -> int:
    return sum(math.ceil(count / plan.items_per_request) for count in items.values())
