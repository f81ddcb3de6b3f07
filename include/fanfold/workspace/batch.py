"""One batch of a run: where its files lie, and the parts that ``fetch`` writes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from fanfold.messages import ENGINE
from fanfold.model import Outcome, Status
from fanfold.workspace.files import disk_errors, read_jsonl, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ITEM = "item"
"""The column of a batch's rows that holds each row's item key; the dataset does not have it."""
Done = tuple[Outcome, dict[str, Any] | None]
"""An item's outcome, and its record where it is ``ok``."""
Fetched = tuple[Outcome, dict[str, Any]]
"""An item that is ``ok`` and its record."""


class Batch:
    """The items of one mapped task.

    Args:
        root: Folder of the run's workspace.
        number: Position of the batch in the plan, from 0.
    """

    def __init__(self, root: Path, number: int) -> None:
        name = f"{number:05d}"
        self.number = number
        self.items_file = root / "items" / f"{name}.jsonl"
        self.progress_file = root / "progress" / f"{name}.json"
        self.selection_file = root / "redrive" / f"{name}.json"
        self.rows_file = root / "clean" / f"{name}.parquet"
        self.counts_file = root / "clean" / f"{name}.json"
        self.invalid_file = root / "clean" / f"{name}.invalid.jsonl"
        self._outcomes = root / "outcomes" / name
        self._raw = root / "raw" / name

    def keys(self) -> list[str]:
        """Return the keys of the batch's items, in the order of the plan."""
        return list(read_jsonl(self.items_file))

    def new_part(self, sequence: int) -> tuple[Path, Path]:
        """Return the paths of the records and the outcomes of a new part.

        The names carry four random bytes, so that a task that Airflow presumes dead and its
        successor never write to the same file.
        """
        name = f"{sequence:04d}-{secrets.token_hex(4)}.jsonl"
        return self._raw / f"{name}.gz", self._outcomes / name

    def parts(self) -> list[tuple[int, Path, Path]]:
        """Return (sequence, records, outcomes) of all committed parts, oldest first."""
        committed = sorted(self._outcomes.glob("[0-9]*.jsonl"))
        return [
            (int(path.name.split("-")[0]), self._raw / f"{path.name}.gz", path)
            for path in committed
        ]

    def last_sequence(self) -> int:
        """Return the sequence number of the last part, 0 if there is none."""
        return max((number for number, _, _ in self.parts()), default=0)

    def write_part(self, sequence: int, part: Sequence[Done]) -> None:
        """Write one part: first its records, then its outcomes, which commit it.

        Raises:
            WorkspaceUnavailable: The disk is full or does not answer; nothing of the part is left.
        """
        raw, outcomes = self.new_part(sequence)
        write_jsonl(
            raw,
            (
                {"key": outcome.key, "record": record}
                for outcome, record in part
                if record is not None
            ),
        )
        try:
            write_jsonl(outcomes, (outcome.as_json() for outcome, _ in part))
        except BaseException:
            # Uncommitted records would only take space on a disk that is full.
            with disk_errors(raw.parent):
                raw.unlink(missing_ok=True)
            raise

    def outcomes(self, *, after: int = 0) -> dict[str, Outcome]:
        """Return the latest outcome of each fetched item, by key.

        Only parts with a sequence number above ``after`` count.
        """
        return {
            data["key"]: Outcome.from_json(data)
            for sequence, _, outcomes in self.parts()
            if sequence > after
            for data in read_jsonl(outcomes)
        }

    def fetched(self, size: int) -> Iterator[list[Fetched]]:
        """Yield the items that are ``ok`` with their latest records, in slices, in fetch order.

        Memory is bounded by one slice and the outcomes of the batch.
        """
        parts = self.parts()
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

    def records(self) -> dict[str, dict[str, Any]]:
        """Return the latest record of each item that is ``ok``, by key."""
        return {outcome.key: record for found in self.fetched(1000) for outcome, record in found}

    def invalid(self) -> dict[str, Outcome]:
        """Return the outcomes of the records that break the contract, by key."""
        path = self.invalid_file
        outcomes = (Outcome.from_json(data) for data in read_jsonl(path)) if path.exists() else ()
        return {outcome.key: outcome for outcome in outcomes}


def decide(key: str, fetched: Outcome | None, invalid: Outcome | None, *, clean: bool) -> Outcome:
    """Return the one outcome of a planned item, after its batch has ended.

    ``clean`` is whether the item has a row; ``invalid`` is its outcome of ``process``.
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
