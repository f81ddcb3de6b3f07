"""One batch of a run: where its files lie, and the parts that ``fetch`` writes."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fanfold.messages import ENGINE
from fanfold.model import Item, Outcome, Status
from fanfold.workspace.files import (
    TEMPORARY_PREFIX,
    disk_errors,
    put_in_place,
    read_jsonl,
    sized_jsonl,
    write_jsonl,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fanfold.messages import Message

ITEM = "_item"
"""The column of a batch's rows that holds each row's item key; the dataset does not have it."""
SLICE_CHARACTERS = 8 << 20
"""Characters of a slice of records, as JSON; as Python objects they take some times that."""
Done = tuple[Outcome, "Sequence[Any] | None"]
"""An item's outcome, and its records where it is ``ok``."""
Fetched = tuple[Outcome, "list[Any]"]
"""An item that is ``ok`` and its records."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A downloaded file.

    Attributes:
        outcome: Its outcome, ``ok``; the key is its URI.
        path: The file in the workspace that contains it.
        offset: Where it begins there, in bytes.
        bytes: Its size.
        etag: Its ETag when it was downloaded.
        modified: When it was written (ISO 8601, UTC).
    """

    outcome: Outcome
    path: Path
    offset: int
    bytes: int
    etag: str
    modified: str


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
        self.attributes_file = root / "items" / f"{name}.attributes.jsonl"
        self.progress_file = root / "progress" / f"{name}.json"
        self.selection_file = root / "redrive" / f"{name}.json"
        self.rows_file = root / "clean" / f"{name}.parquet"
        self.failed_file = root / "clean" / f"{name}.failed.jsonl"
        self.rejected_file = root / "clean" / f"{name}.rejected.jsonl"
        self.closed_file = root / "clean" / f"{name}.json"
        self.stop_file = root / "stop.json"
        self._outcomes = root / "outcomes" / name
        self._raw = root / "raw" / name

    def keys(self) -> list[str]:
        """Return the keys of the batch's items, in the order of the plan."""
        return list(read_jsonl(self.items_file))

    def items(self) -> list[Item]:
        """Return the batch's items with their attributes, in the order of the plan."""
        keys = self.keys()
        if not self.attributes_file.exists():
            return [Item(key) for key in keys]
        return list(map(Item, keys, read_jsonl(self.attributes_file)))

    def new_part(self, sequence: int, version: str = "") -> tuple[Path, Path]:
        """Return the paths of the records and the outcomes of a new part.

        The names carry four random bytes, so that a task that Airflow presumes dead and its
        successor never write to the same file, and the version of source and attributes.
        """
        name = f"{sequence:04d}-{secrets.token_hex(4)}-{self._version(version)}.jsonl"
        return self._raw / f"{name}.gz", self._outcomes / name

    def parts(self) -> list[tuple[int, Path, Path]]:
        """Return (sequence, records, outcomes) of all committed parts, oldest first."""
        committed = sorted(self._outcomes.glob("[0-9]*.jsonl"))
        return [
            (int(path.name.split("-")[0]), self._raw / f"{path.name}.gz", path)
            for path in committed
        ]

    def part_names(self) -> list[str]:
        """Return the names of all committed parts, oldest first."""
        return [outcomes.name for _, _, outcomes in self.parts()]

    def last_sequence(self) -> int:
        """Return the sequence number of the last part, 0 if there is none."""
        return max((number for number, _, _ in self.parts()), default=0)

    def parts_of_other_versions(self, version: str) -> list[tuple[Path, Path]]:
        """Return (records, outcomes) of the parts of another source, or of items with other attributes."""
        version = self._version(version)
        return [
            (raw, outcomes)
            for _, raw, outcomes in self.parts()
            if outcomes.stem.split("-")[2:] != [version]
        ]

    def _version(self, source: str) -> str:
        """Return the version of parts: requests may depend on attributes, and those of files have the ETag."""
        if not self.attributes_file.exists():
            return source
        digest = hashlib.blake2b(source.encode(), digest_size=4)
        for path in (self.items_file, self.attributes_file):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def write_part(
        self, sequence: int, part: Sequence[Done], version: str = "", blob: Path | None = None
    ) -> None:
        """Write one part: first its records, then its outcomes, which commit it.

        The records of an item follow each other. ``version`` is that of the source. ``blob`` is a
        file of :meth:`new_blob` with the bytes of the part's files; it is moved.

        Raises:
            WorkspaceUnavailable: The disk is full or does not answer; nothing of the part is left.
        """
        raw, outcomes = self.new_part(sequence, version)
        try:
            if blob is not None:
                put_in_place(blob, blob_of(raw))
            write_jsonl(
                raw,
                (
                    {"key": outcome.key, "record": record}
                    for outcome, records in part
                    for record in records or ()
                ),
            )
            write_jsonl(outcomes, (outcome.as_json() for outcome, _ in part))
        except BaseException:
            # Uncommitted records would only take space on a disk that is full.
            remove_part(raw, outcomes)
            raise

    def new_blob(self) -> Path:
        """Return a new path for the bytes of files, until they are a part."""
        self._raw.mkdir(parents=True, exist_ok=True)
        return self._raw / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.blob"

    def remove_unfinished_blobs(self) -> None:
        """Remove what a killed task left; one that still runs cannot commit its part any more."""
        for path in self._raw.glob(f"{TEMPORARY_PREFIX}*.blob"):
            path.unlink(missing_ok=True)

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

        A slice ends with the item that fills it to ``size`` records or :data:`SLICE_CHARACTERS`.
        Memory is bounded by one slice and the outcomes of the batch.
        """
        parts = self.parts()
        latest = _latest(parts)
        found: list[Fetched] = []
        records = characters = 0
        for _, raw, _ in parts:
            for key, lines in groupby(sized_jsonl(raw), lambda line: line[0]["key"]):
                outcome, latest_raw = latest[key]
                if latest_raw == raw and outcome.status is Status.OK:
                    own: list[Any] = []
                    for line, characters_of in lines:
                        own.append(line["record"])
                        characters += characters_of
                    found.append((outcome, own))
                    records += len(own)
                    if records >= size or characters >= SLICE_CHARACTERS:
                        yield found
                        found, records, characters = [], 0, 0
        if found:
            yield found

    def fetched_files(self) -> Iterator[FetchedFile]:
        """Yield the files that are ``ok``, each as downloaded last, in the order of the plan.

        For a ``Files`` source, instead of :meth:`fetched`.
        """
        parts = self.parts()
        latest = _latest(parts)
        records = {
            (line["key"], raw): line["record"] for _, raw, _ in parts for line in read_jsonl(raw)
        }
        for key in self.keys():
            if key in latest and latest[key][0].status is Status.OK:
                outcome, raw = latest[key]
                yield FetchedFile(outcome, blob_of(raw), **records[key, raw])

    def failed(self) -> dict[str, Outcome]:
        """Return the outcomes of the items that are not ``ok``, by key, as ``process`` decided."""
        path = self.failed_file
        outcomes = (Outcome.from_json(data) for data in read_jsonl(path)) if path.exists() else ()
        return {outcome.key: outcome for outcome in outcomes}

    def invalid(self) -> dict[str, Outcome]:
        """Return the outcomes of the items that break the contract, by key."""
        return {
            key: outcome
            for key, outcome in self.failed().items()
            if outcome.status is Status.INVALID
        }


def _latest(parts: Sequence[tuple[int, Path, Path]]) -> dict[str, tuple[Outcome, Path]]:
    """Return the latest outcome of each item with the file of its records."""
    return {
        data["key"]: (Outcome.from_json(data), raw)
        for _, raw, outcomes in parts
        for data in read_jsonl(outcomes)
    }


def blob_of(records: Path) -> Path:
    """Return the file with the bytes of the files of a part, beside its records."""
    return records.with_name(records.name.replace(".jsonl.gz", ".blob"))


def remove_part(records: Path, outcomes: Path) -> None:
    """Remove the files of a part."""
    with disk_errors(records.parent):
        # The outcomes commit a part: without them its records are nothing.
        outcomes.unlink(missing_ok=True)
        records.unlink(missing_ok=True)
        blob_of(records).unlink(missing_ok=True)


def decide(
    key: str, fetched: Outcome | None, invalid: Outcome | None, stopped: Message | None = None
) -> Outcome:
    """Return the one outcome of a planned item, after its batch has ended.

    ``invalid`` is its outcome if no row of its records obeys the contract, ``stopped`` why the fetch
    of the run was stopped, if it was.
    """
    if fetched is None:
        return Outcome.of(key, Status.FAILED, stopped or ENGINE.message("item.not_fetched"))
    return invalid if invalid and fetched.status is Status.OK else fetched
