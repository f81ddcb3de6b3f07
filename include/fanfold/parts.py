"""What a batch has so far: the parts that fetch wrote, read back by the stages after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.model import Outcome
from fanfold.workspace import read_jsonl, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.workspace import Workspace

Done = tuple[Outcome, dict[str, Any] | None]
"""An item's outcome, and its record where it is ``ok``."""


def write_part(workspace: Workspace, batch: int, sequence: int, part: Sequence[Done]) -> None:
    """Write one part of a batch: first its records, then its outcomes, which commit it."""
    raw, outcomes = workspace.new_part(batch, sequence)
    write_jsonl(
        raw,
        ({"key": outcome.key, "record": record} for outcome, record in part if record is not None),
    )
    write_jsonl(outcomes, (outcome.as_json() for outcome, _ in part))


def last_sequence(workspace: Workspace, batch: int) -> int:
    """Return the number of the last part of a batch, 0 where there is none."""
    return max((number for number, _, _ in workspace.parts(batch)), default=0)


def outcomes_of(workspace: Workspace, batch: int) -> dict[str, Outcome]:
    """Return the latest outcome of every item that fetch has decided in a batch."""
    return {
        data["key"]: Outcome.from_json(data)
        for _, _, outcomes in workspace.parts(batch)
        for data in read_jsonl(outcomes)
    }


def records_of(workspace: Workspace, batch: int) -> dict[str, dict[str, Any]]:
    """Return the latest record of every item of a batch that has one."""
    return {
        data["key"]: data["record"]
        for _, raw, _ in workspace.parts(batch)
        for data in read_jsonl(raw)
    }


def invalid_of(workspace: Workspace, batch: int) -> dict[str, Outcome]:
    """Return the outcomes of the records of a batch that broke the contract."""
    path = workspace.invalid(batch)
    outcomes = (Outcome.from_json(data) for data in read_jsonl(path)) if path.exists() else ()
    return {outcome.key: outcome for outcome in outcomes}
