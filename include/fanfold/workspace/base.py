"""The dataset that a run in mode ``merge`` is merged into.

Beside the dataset, a run publishes two Parquet files, from which the next one continues:

    <dataset>.state.parquet    the rows from which the dataset is selected, sorted by item
    <dataset>.ledger.parquet   what became of each item of this and earlier runs, sorted by item
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fanfold.workspace.files import read_as, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from fanfold.model import Manifest
    from fanfold.workspace.paths import Workspace

STATE = "state"
LEDGER = "ledger"
"""Formats of these files in the manifest."""


@dataclass(frozen=True, slots=True)
class BaseRef:
    """The published dataset by which ``read_items`` chose the items, in ``items/base.json``.

    Attributes:
        generation: Its generation; 0 if there was none.
        rebuild: Whether the run replaces all of it: rows of this or an earlier generation are
            dropped, unless they are of an item that could not be read again.
        keep: Whether it is merged although its rows have another version.
        listed: The last date (YYYY-MM-DD) that the run searches for the DAG's own list of files; empty if
            its files are others.
    """

    generation: int = 0
    rebuild: bool = False
    keep: bool = False
    listed: str = ""


@dataclass(frozen=True, slots=True)
class Base:
    """The latest published dataset, downloaded.

    Attributes:
        manifest: Its manifest.
        sha256: SHA-256 of the manifest, in hex.
        state: Its state; None if it was not published in mode ``merge``.
        ledger: Its ledger, likewise.
    """

    manifest: Manifest
    sha256: str
    state: Path | None = None
    ledger: Path | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What became of an item.

    Attributes:
        item: Its key.
        etag, size, modified, date: Its attributes, if it is a file; else None.
        status: Its outcome in the latest run that had it: ``ok``, ``missing``, ``invalid``, ``failed``.
        reason: Why it is not ``ok``.
        rows: Number of its rows in the state; those of an earlier version if it is ``invalid`` or
            ``failed``. If items are no files: number of rows in that run.
        rejected: Number of its rows that broke the contract in that run.
        generation: That of the run.
        run_id: That run.
    """

    item: str
    etag: str | None
    size: int | None
    modified: str | None
    date: str | None
    status: str
    reason: str
    rows: int
    rejected: int
    generation: int
    run_id: str


def write_base_ref(workspace: Workspace, ref: BaseRef) -> None:
    """Write the reference to the base of a run."""
    write_json(workspace.base_ref, asdict(ref))


def read_base_ref(workspace: Workspace) -> BaseRef:
    """Return the reference to the base of a run; that to none, if it was not written."""
    if not workspace.base_ref.exists():
        return BaseRef()
    return read_as(workspace.base_ref, lambda data: BaseRef(**data))


def ledger_schema() -> pa.Schema:
    """Return the schema of a ledger: the fields of :class:`LedgerRow`."""
    import pyarrow as pa

    texts, numbers = pa.string(), pa.int64()
    fields = dict.fromkeys(LedgerRow.__slots__, texts)
    fields |= dict.fromkeys(("size", "rows", "rejected", "generation"), numbers)
    return pa.schema(fields)


def read_ledger(path: Path) -> Iterator[LedgerRow]:
    """Yield the rows of a ledger, sorted by item; memory is bounded."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(20_000, use_threads=False):
            yield from (LedgerRow(**row) for row in batch.to_pylist())
