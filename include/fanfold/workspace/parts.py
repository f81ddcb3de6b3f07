"""What a batch has so far: the parts that fetch wrote, read back by the stages after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.messages import ENGINE
from fanfold.model import Outcome, Status
from fanfold.workspace.files import disk_errors, read_jsonl, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fanfold.workspace.paths import Workspace

ITEM = "item"
"""The column of a clean part that holds each row's item; the dataset does not have it."""
Done = tuple[Outcome, dict[str, Any] | None]
"""An item's outcome, and its record where it is ``ok``."""
Fetched = tuple[Outcome, dict[str, Any]]
"""An item that is ``ok`` and its record."""


def write_part(workspace: Workspace, batch: int, sequence: int, part: Sequence[Done]) -> None:
    """Write one part of a batch: first its records, then its outcomes, which commit it.

    Raises:
        WorkspaceUnavailable: The disk takes no more; nothing of the part is left.
    """
    raw, outcomes = workspace.new_part(batch, sequence)
    write_jsonl(
        raw,
        ({"key": outcome.key, "record": record} for outcome, record in part if record is not None),
    )
    try:
        write_jsonl(outcomes, (outcome.as_json() for outcome, _ in part))
    except BaseException:
        # Records that nothing commits would be in the way on a disk that is full.
        with disk_errors(raw.parent):
            raw.unlink(missing_ok=True)
        raise


def last_sequence(workspace: Workspace, batch: int) -> int:
    """Return the number of the last part of a batch, 0 where there is none."""
    return max((number for number, _, _ in workspace.parts(batch)), default=0)


def outcomes_of(workspace: Workspace, batch: int, *, after: int = 0) -> dict[str, Outcome]:
    """Return the latest outcome of every item that fetch has decided in a batch.

    Args:
        workspace: The run's workspace.
        batch: Number of the batch.
        after: Number of a part: only later ones count.
    """
    return {
        data["key"]: Outcome.from_json(data)
        for sequence, _, outcomes in workspace.parts(batch)
        if sequence > after
        for data in read_jsonl(outcomes)
    }


def fetched_of(workspace: Workspace, batch: int, size: int) -> Iterator[list[Fetched]]:
    """Yield the items of a batch that are ``ok``, each with its latest record, in slices.

    They come in the order in which they were fetched. Memory is bounded by a slice, and by the
    outcomes of the batch.

    Args:
        workspace: The run's workspace.
        batch: Number of the batch.
        size: Items of each slice but the last.
    """
    parts = workspace.parts(batch)
    latest = {
        data["key"]: (Outcome.from_json(data), raw)
        for _, raw, outcomes in parts
        for data in read_jsonl(outcomes)
    }
    found: list[Fetched] = []
    for _, raw, _ in parts:
        for data in read_jsonl(raw):
            outcome, latest_raw = latest[data["key"]]
            if latest_raw == raw and outcome.status is Status.OK:
                found.append((outcome, data["record"]))
                if len(found) == size:
                    yield found
                    found = []
    if found:
        yield found


def records_of(workspace: Workspace, batch: int) -> dict[str, dict[str, Any]]:
    """Return the latest record of every item of a batch that is ``ok``."""
    return {
        outcome.key: record
        for found in fetched_of(workspace, batch, 1000)
        for outcome, record in found
    }


def invalid_of(workspace: Workspace, batch: int) -> dict[str, Outcome]:
    """Return the outcomes of the records of a batch that broke the contract."""
    path = workspace.invalid(batch)
    outcomes = (Outcome.from_json(data) for data in read_jsonl(path)) if path.exists() else ()
    return {outcome.key: outcome for outcome in outcomes}


def decide(key: str, fetched: Outcome | None, invalid: Outcome | None, *, clean: bool) -> Outcome:
    """Return the one outcome of a planned item, when nothing more is fetched or processed.

    Args:
        key: The item.
        fetched: What fetch decided, if it did.
        invalid: The contract's verdict on its record, if it broke it.
        clean: Whether it has a clean row.
    """
    if fetched is None:
        return Outcome.of(key, Status.FAILED, ENGINE.message("item.not_fetched"))
    if fetched.status is not Status.OK or clean:
        return fetched
    return invalid or Outcome.of(
        key,
        Status.FAILED,
        ENGINE.message("item.not_processed"),
        attempts=fetched.attempts,
        at=fetched.at,
    )
