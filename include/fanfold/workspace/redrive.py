"""Selected items of a redrive.

Without a selection a fetch repeats all failed items of its batch. A selection is bound to one
clearing of the run (Airflow's ``clear_number``) and is void after the next one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fanfold.workspace.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fanfold.workspace.batch import Batch
    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class Selection:
    """Selected items of a batch.

    Attributes:
        keys: Keys of the items.
        after: Sequence number of the last part at the time of the selection; items with an outcome
            in a later part have been fetched again.
        clearing: Airflow's ``clear_number`` that the selection is bound to.
    """

    keys: tuple[str, ...]
    after: int
    clearing: int


def write_selection(batch: Batch, selection: Selection) -> None:
    """Write the selection of a batch for its next fetch."""
    write_json(batch.selection_file, asdict(selection))


def forget_selections(workspace: Workspace, batches: Iterable[int]) -> None:
    """Remove the selections of some batches."""
    for batch in batches:
        workspace.batch(batch).selection_file.unlink(missing_ok=True)


def selection_of(batch: Batch, clearing: int) -> Selection | None:
    """Return the selection of a batch for a clearing, or None.

    Raises:
        Inconsistent: The file is damaged.
    """
    path = batch.selection_file
    if not path.exists():
        return None
    data = read_json(path)
    selection = Selection(tuple(data["keys"]), data["after"], data["clearing"])
    return selection if selection.clearing == clearing else None
