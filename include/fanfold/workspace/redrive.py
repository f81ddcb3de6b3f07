"""Items of a batch that somebody selected to be fetched again, in place of all that failed.

A selection belongs to one clearing of the run, which Airflow counts (``clear_number``). Once anything
of the run is cleared again, it means nothing any more: then all that failed is fetched.
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
    """What a redrive selected of a batch.

    Attributes:
        keys: The items.
        after: Number of the last part that the batch had then: what is decided in later parts was
            fetched again.
        clearing: Airflow's number of the clearing that it belongs to.
    """

    keys: tuple[str, ...]
    after: int
    clearing: int


def write_selection(batch: Batch, selection: Selection) -> None:
    """Select items of a batch for the fetch that comes."""
    write_json(batch.selection_file, asdict(selection))


def forget_selections(workspace: Workspace, batches: Iterable[int]) -> None:
    """Let the batches fetch all that failed."""
    for batch in batches:
        workspace.batch(batch).selection_file.unlink(missing_ok=True)


def selection_of(batch: Batch, clearing: int) -> Selection | None:
    """Return what is selected of a batch in this clearing, or None: all that failed.

    Raises:
        Inconsistent: The file is damaged.
    """
    path = batch.selection_file
    if not path.exists():
        return None
    data = read_json(path)
    selection = Selection(tuple(data["keys"]), data["after"], data["clearing"])
    return selection if selection.clearing == clearing else None
