"""Read the failed items of an earlier run from its workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.model import Plan, Status
from fanfold.workspace.files import read_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.readers.files import Located
    from fanfold.workspace.paths import Workspace

_SELECTED = (Status.FAILED, Status.INVALID)


def from_run(workspace: Workspace, *, name: str) -> Iterator[Located]:
    """Yield the items of a run that are ``failed`` or ``invalid``, with their attributes.

    The workspace has them also if the run published nothing. Memory is bounded by one batch.

    Args:
        workspace: That of the run.
        name: Name of the run in messages.

    Raises:
        BadInput: The run has no outcomes.
    """
    if not workspace.manifest.exists():
        raise BadInput(
            f"items_uri: {name} has no outcomes in the shared directory. Either there is no such "
            "run, or it has not finished consolidate, or its folder was removed."
        )
    number = 0
    for batch in map(workspace.batch, range(read_as(workspace.plan, Plan.from_json).batches)):
        selected = {key for key, outcome in batch.failed().items() if outcome.status in _SELECTED}
        for item in batch.items() if selected else ():
            number += 1
            if item.key in selected:
                yield "item", number, item.key, dict(item.attributes)
