"""One item among millions: its outcomes, its raw record and its clean row."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent
from fanfold.model import Outcome, Status
from fanfold.queries.values import json_row
from fanfold.workspace.batch import ITEM, decide
from fanfold.workspace.key_index import positions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.model import Plan
    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class ItemDetails:
    """An item of the plan.

    Attributes:
        key: Its key.
        batch: Number of its batch.
        position: Its position in the plan, from 0.
        latest: Its current outcome; None while it has none.
        earlier: Its earlier outcomes, oldest first.
        record: Its raw record, or None.
        row: Its clean row by column, or None.
    """

    key: str
    batch: int
    position: int
    latest: Outcome | None
    earlier: tuple[Outcome, ...]
    record: dict[str, Any] | None
    row: dict[str, Any] | None

    @property
    def status(self) -> str:
        """Its current outcome, or ``waiting``."""
        return self.latest.status if self.latest else "waiting"


def find_item(workspace: Workspace, plan: Plan, key: str, *, final: bool) -> ItemDetails | None:
    """Return an item of the plan, or None if the plan does not have it.

    In a consolidated (``final``) run, an item without a row has failed.

    Raises:
        Inconsistent: A file of its batch is damaged.
    """
    position = positions(workspace.keys, [key]).get(key)
    if position is None:
        return None
    batch = plan.batch_of(position)
    decided = _decisions(workspace, batch, key)
    fetched = decided[-1][0] if decided else None
    invalid = workspace.batch(batch).invalid().get(key)
    row = _row(workspace.batch(batch).rows_file, key)
    latest = fetched
    if final:
        latest = decide(key, fetched, invalid, clean=row is not None)
    elif fetched is not None and fetched.status is Status.OK and invalid is not None:
        latest = invalid
    record = next(
        (_record(raw, key) for outcome, raw in reversed(decided) if outcome.status is Status.OK),
        None,
    )
    return ItemDetails(
        key=key,
        batch=batch,
        position=position,
        latest=latest,
        earlier=tuple(outcome for outcome, _ in decided[:-1]),
        record=record,
        row=row,
    )


def _decisions(workspace: Workspace, batch: int, key: str) -> list[tuple[Outcome, Path]]:
    """Return the outcomes of an item, oldest first, each with the file of its part's records."""
    return [
        (Outcome.from_json(data), raw)
        for _, raw, outcomes in workspace.batch(batch).parts()
        for data in _documents(outcomes, key)
    ]


def _record(raw: Path, key: str) -> dict[str, Any] | None:
    return next((data["record"] for data in _documents(raw, key)), None)


def _documents(path: Path, key: str) -> Iterator[dict[str, Any]]:
    """Yield the documents of an item; a line of a part begins with the key."""
    text = json.dumps(key, ensure_ascii=False)
    beginning = b'{"key":' + text.encode("utf-8", "backslashreplace") + b","
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        for line in content.splitlines():
            if line.startswith(beginning):
                yield json.loads(line)
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Inconsistent(
            f"{path} is damaged ({error}): remove it and clear `batch.fetch` of its batch."
        ) from error


def _row(path: Path, key: str) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        with pq.ParquetFile(path) as file:
            items = file.read(columns=[ITEM], use_threads=False)[ITEM]
            place = pc.index(items, key).as_py()
            if place < 0:
                return None
            rows = file.read(use_threads=False).drop_columns(ITEM)
    except (pa.ArrowException, OSError) as error:
        raise Inconsistent(f"{path} cannot be read ({error}): clear `batch.process`.") from error
    return json_row(rows.slice(place, 1).to_pylist()[0])
