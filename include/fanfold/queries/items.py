"""One item among millions: its outcomes, records, rows and rejected rows."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent
from fanfold.model import Outcome, Rejected, Status
from fanfold.queries.values import json_row
from fanfold.workspace.batch import ITEM
from fanfold.workspace.key_index import positions
from fanfold.workspace.same import SAME, noted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from fanfold.model import Plan
    from fanfold.workspace.batch import Batch
    from fanfold.workspace.paths import Workspace

SHOWN = 20
"""Records, rows and rejected rows of an item that are returned …"""
SHOWN_BYTES = 8 << 20
"""… of records only as many as have these bytes together, and at least one."""


@dataclass(frozen=True, slots=True)
class Some:
    """The first elements of a list, and how many there are."""

    count: int = 0
    first: tuple[Any, ...] = ()

    @classmethod
    def of(cls, lines: Iterator[bytes], parse: Callable[[dict[str, Any]], Any]) -> Self:
        """Count JSON lines, and parse the first ones."""
        count = 0
        first: list[Any] = []
        room = SHOWN_BYTES
        for count, line in enumerate(lines, 1):
            room -= len(line)
            if count <= SHOWN and (room >= 0 or not first):
                first.append(parse(json.loads(line)))
        return cls(count, tuple(first))


@dataclass(frozen=True, slots=True)
class ItemDetails:
    """An item of the plan.

    Attributes:
        key: Its key.
        batch: Number of its batch.
        position: Its position in the plan, from 0.
        latest: Its current outcome; None while it has none.
        earlier: Its earlier outcomes, oldest first.
        file: Its size, ETag and time, if it is a file, as downloaded last, or else as listed.
        records: Its records; none if it is a file.
        rows: Its rows (dicts by column), in order.
        rejected: Its rejected rows, in order.
    """

    key: str
    batch: int
    position: int
    latest: Outcome | None
    earlier: tuple[Outcome, ...]
    file: dict[str, Any] | None
    records: Some
    rows: Some
    rejected: Some

    @property
    def status(self) -> str:
        """Its current outcome, or ``waiting``."""
        return self.latest.status if self.latest else "waiting"


def find_item(workspace: Workspace, plan: Plan, key: str, *, final: bool) -> ItemDetails | None:
    """Return an item of the plan, or None if the plan does not have it.

    In a consolidated (``final``) run, its outcome is that of ``process``.

    Raises:
        Inconsistent: A file of its batch is damaged.
    """
    position = positions(workspace.keys, [key]).get(key)
    if position is None:
        return None
    batch = workspace.batch(plan.batch_of(position))
    fetched = _fetched(batch, key)
    latest = _latest(batch, key, fetched, final=final)
    if final and latest and latest.status is Status.OK:
        same = _some(workspace.dataset / SAME, "item", key, dict).first
        latest = noted(latest, same[0]) if same else latest
    file = None
    raw = next((raw for each, raw in reversed(fetched) if each.status is Status.OK), None)
    records = _some(raw, "key", key, lambda line: line["record"]) if raw else Some()
    if plan.bytes:
        place = position - plan.starts[batch.number]
        file = _file(batch.items()[place].attributes, records.first[0] if records.first else None)
        records = Some()
    return ItemDetails(
        key=key,
        batch=batch.number,
        position=position,
        latest=latest,
        earlier=tuple(outcome for outcome, _ in fetched[:-1]),
        file=file,
        records=records,
        rows=_rows(batch.rows_file, key),
        rejected=_some(batch.rejected_file, "item", key, lambda line: Rejected(**line)),
    )


@dataclass(frozen=True, slots=True)
class ItemBrief:
    """An item in a few words: its current outcome or ``waiting``, and the first of its rows.

    ``rows`` is their number.
    """

    key: str
    status: str
    rows: int
    row: dict[str, Any]


def brief_item(
    workspace: Workspace, plan: Plan, position: int, key: str, *, final: bool
) -> ItemBrief:
    """Return the outcome and the rows of the item at a position of the plan; see :func:`find_item`.

    Raises:
        Inconsistent: A file of its batch is damaged.
    """
    batch = workspace.batch(plan.batch_of(position))
    latest = _latest(batch, key, _fetched(batch, key), final=final)
    rows = _rows(batch.rows_file, key)
    return ItemBrief(
        key, latest.status if latest else "waiting", rows.count, rows.first[0] if rows.first else {}
    )


def _file(listed: Mapping[str, Any], downloaded: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return size, ETag and time of a file."""
    facts = {**downloaded, "size": downloaded["bytes"]} if downloaded else listed
    return {name: facts.get(name) for name in ("size", "etag", "modified")}


def _fetched(batch: Batch, key: str) -> list[tuple[Outcome, Path]]:
    """Return the outcomes of an item, oldest first, each with the file of its part's records."""
    return [
        (outcome, raw)
        for _, raw, outcomes in batch.parts()
        for outcome in _some(outcomes, "key", key, Outcome.from_json).first
    ]


def _latest(
    batch: Batch, key: str, fetched: list[tuple[Outcome, Path]], *, final: bool
) -> Outcome | None:
    latest = fetched[-1][0] if fetched else None
    decided = _decided(batch, key)
    return decided if decided and (final or _is_of_records(decided, latest)) else latest


def _decided(batch: Batch, key: str) -> Outcome | None:
    """Return the outcome of ``process``, unless it is ``ok``."""
    first = _some(batch.failed_file, "key", key, Outcome.from_json).first
    return first[0] if first else None


def _is_of_records(decided: Outcome, fetched: Outcome | None) -> bool:
    """Whether the outcome is of the item's records; another may be of an earlier fetch."""
    is_ok = fetched is not None and fetched.status is Status.OK
    return is_ok and decided.status is Status.INVALID


def _some(path: Path, name: str, key: str, parse: Callable[[dict[str, Any]], Any]) -> Some:
    """Return the documents of an item in a file whose lines begin with the key as ``name``."""
    if not path.exists():
        return Some()
    try:
        return Some.of(_lines(path, name, key), parse)
    except (ValueError, TypeError, KeyError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Inconsistent(
            f"{path} is damaged ({error}): remove it and clear `batch.fetch` of its batch."
        ) from error


def _lines(path: Path, name: str, key: str) -> Iterator[bytes]:
    text = json.dumps(key, ensure_ascii=False)
    beginning = f'{{"{name}":{text},'.encode("utf-8", "backslashreplace")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in cast("Iterator[bytes]", file):
            if line.startswith(beginning):
                yield line


def _rows(path: Path, key: str) -> Some:
    """Return the rows of an item; they follow each other.

    Only the items' column is read until they are found, and of the other columns the row groups with
    the rows that are returned.
    """
    if not path.exists():
        return Some()
    count = 0
    first: list[dict[str, Any]] = []
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                items = file.read_row_group(group, columns=[ITEM], use_threads=False)[ITEM]
                places = pc.indices_nonzero(pc.equal(items, key))
                if count and not places:
                    break
                count += len(places)
                wanted = places[: SHOWN - len(first)]
                if wanted:
                    rows = file.read_row_group(group, use_threads=False).take(wanted)
                    first += map(json_row, rows.drop_columns(ITEM).to_pylist())
    except (pa.ArrowException, OSError, KeyError) as error:
        raise Inconsistent(f"{path} cannot be read ({error}): clear `batch.process`.") from error
    return Some(count, tuple(first))
