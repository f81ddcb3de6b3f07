"""Compare a run's dataset with that of the run before: who is new, who is gone, and what changed.

Rows are compared share by share: a share holds those keys of both files whose hash leaves the same
rest, so that a key and its counterpart are always in the same one. Two columns of each file are dealt
out to the shares in one pass, into files beside the comparison; then each share is read once. What is
kept in memory are one share, counts, and the first rows of each kind.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pandas.util import hash_array

from fanfold.errors import Inconsistent
from fanfold.workspace.files import TEMPORARY_PREFIX, disk_errors, write_json
from fanfold.workspace.history import read_history, run_before
from fanfold.workspace.paths import PARQUET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.model import Manifest
    from fanfold.workspace.paths import Workspace

SHOWN = 20
"""Examples of each kind."""

_SHARE_ROWS = 250_000
"""Rows of a share, on average, in the larger file: some 30 MB with those of the other."""
_MOST_SHARES = 500
"""Files that are open at once; above 125 million rows the shares grow instead."""
_BATCH_ROWS = 50_000
_COUNTED = pa.schema([("user_id", pa.string()), ("followers_count", pa.int64())])
_NAMED = pa.schema([("user_id", pa.string()), ("screen_name", pa.string())])
_CHANGED = pa.schema(
    [
        ("user_id", pa.string()),
        ("before", pa.int64()),
        ("after", pa.int64()),
        ("difference", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Side:
    """The users that only one of two datasets has.

    Attributes:
        count: How many.
        examples: (user id, screen name) of some, the most followed first.
    """

    count: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A user with another number of followers than before.

    Attributes:
        user_id: The id.
        name: The screen name, as it is now.
        before: Followers in the dataset before.
        after: Followers now.
    """

    user_id: str
    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a dataset differs from the one before.

    Attributes:
        previous: The run that made the one before.
        previous_date: The date that this run stands for (ISO 8601, UTC).
        both: Users in both.
        new: Users that were not there before.
        gone: Users that were there before only.
        changed: Users in both with another number of followers.
        most_changed: Some of these, the largest difference first.
    """

    previous: str
    previous_date: str
    both: int
    new: Side
    gone: Side
    changed: int
    most_changed: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Comparison:
        """Return the comparison that :meth:`as_json` wrote."""
        return cls(
            **{
                **data,
                "new": _side(**data["new"]),
                "gone": _side(**data["gone"]),
                "most_changed": tuple(Change(**change) for change in data["most_changed"]),
            }
        )


def _side(count: int, examples: list[list[str]]) -> Side:
    return Side(count, tuple((user_id, name) for user_id, name in examples))


def compare(dataset: Path, before: Path, *, previous: str, previous_date: str) -> Comparison:
    """Return how a dataset differs from the one before.

    Args:
        dataset: The run's Parquet file, under the contract of user profiles.
        before: That of the run before.
        previous: The id of that run.
        previous_date: The date that it stands for (ISO 8601, UTC).

    Returns:
        Counts, and up to :data:`SHOWN` examples of each kind. Equals are in order of their ids.

    Raises:
        Inconsistent: One of the files is missing, or is not a dataset.
        WorkspaceUnavailable: The disk is full, read-only, or does not answer.
    """
    now = _Dataset(dataset, "clear `consolidate` with its downstream tasks.")
    then = _Dataset(before, f"clear `consolidate` of the run {previous}, which wrote it.")
    shares = min(_MOST_SHARES, math.ceil(max(now.rows(), then.rows()) / _SHARE_ROWS))
    found = _Found()
    with now.dealt(shares, dataset.parent) as ours, then.dealt(shares, dataset.parent) as theirs:
        for one, other in zip(ours, theirs, strict=True):
            found.add(one, other)
    new, gone = (rows["user_id"].to_pylist() for rows in (found.new, found.gone))
    changes = found.changes.to_pylist()
    names = now.names([*new, *(row["user_id"] for row in changes)])
    former = then.names(gone)
    return Comparison(
        previous=previous,
        previous_date=previous_date,
        both=found.both,
        new=Side(found.new_count, tuple((key, names[key]) for key in new)),
        gone=Side(found.gone_count, tuple((key, former[key]) for key in gone)),
        changed=found.changed,
        most_changed=tuple(
            Change(row["user_id"], names[row["user_id"]], row["before"], row["after"])
            for row in changes
        ),
    )


def compare_with_previous(workspace: Workspace, manifest: Manifest) -> str:
    """Compare a run's dataset with the previous run's and write the result.

    Args:
        workspace: The run's workspace.
        manifest: The run's manifest.

    Returns:
        The result in one sentence, for the log.
    """
    before = run_before(read_history(workspace.history), manifest.run_id, manifest.logical_date)
    dataset = workspace.sibling(before.run_id).dataset / PARQUET if before else None
    if before is None or dataset is None or not dataset.exists():
        workspace.comparison.unlink(missing_ok=True)
        return "There is no previous dataset to compare with."
    comparison = compare(
        workspace.dataset / PARQUET,
        dataset,
        previous=before.run_id,
        previous_date=before.logical_date,
    )
    write_comparison(workspace.comparison, comparison)
    return (
        f"Since {before.run_id}: {comparison.new.count} users are new, {comparison.gone.count} are "
        f"gone, {comparison.changed} have a different number of followers."
    )


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write a comparison as one JSON document.

    Raises:
        WorkspaceUnavailable: The disk is full, read-only, or does not answer.
    """
    write_json(path, comparison.as_json())


@dataclass(slots=True)
class _Found:
    """What is known after some shares: counts, and the first rows of each kind."""

    both: int = 0
    new_count: int = 0
    gone_count: int = 0
    changed: int = 0
    new: pa.Table = field(default_factory=_COUNTED.empty_table)
    gone: pa.Table = field(default_factory=_COUNTED.empty_table)
    changes: pa.Table = field(default_factory=_CHANGED.empty_table)

    def add(self, now: pa.Table, then: pa.Table) -> None:
        """Compare one share of both datasets."""
        at = pc.index_in(now["user_id"], value_set=then["user_id"])
        stayed, counterparts = pc.is_valid(at), at.drop_null()
        left = np.ones(then.num_rows, np.bool_)
        left[counterparts.to_numpy()] = False
        new, gone = now.filter(pc.invert(stayed)), then.filter(pa.array(left))
        changes = _changes(now.filter(stayed), then.take(counterparts))
        self.both += now.num_rows - new.num_rows
        self.new_count += new.num_rows
        self.gone_count += gone.num_rows
        self.changed += changes.num_rows
        self.new = _first("followers_count", self.new, new)
        self.gone = _first("followers_count", self.gone, gone)
        self.changes = _first("difference", self.changes, changes)


def _changes(now: pa.Table, then: pa.Table) -> pa.Table:
    """Return the rows with another number of followers; both tables hold the same keys in order."""
    before, after = then["followers_count"], now["followers_count"]
    difference = pc.abs(pc.subtract(after, before))
    table = pa.table([now["user_id"], before, after, difference], schema=_CHANGED)
    return table.filter(pc.greater(difference, 0))


def _first(column: str, *tables: pa.Table) -> pa.Table:
    """Return the first rows by a column, the largest first, equals by id."""
    # No two rows have the same id: the selection has only one outcome, though it is not stable.
    order = [(column, "descending"), ("user_id", "ascending")]
    rows = pa.concat_tables(tables)
    return rows.take(pc.select_k_unstable(rows, SHOWN, order))


@dataclass(frozen=True, slots=True)
class _Dataset:
    """A Parquet file that is read in passes, and what to do where it cannot be read."""

    path: Path
    way_out: str

    def rows(self) -> int:
        """Return how many rows it has."""
        with self._file() as file:
            return int(file.metadata.num_rows)

    @contextlib.contextmanager
    def dealt(self, shares: int, folder: Path) -> Iterator[Iterator[pa.Table]]:
        """Yield id and followers of the rows, share by share.

        Args:
            shares: How many.
            folder: Takes a folder of files for them, which is gone when the block ends.

        Raises:
            WorkspaceUnavailable: The disk is full, read-only, or does not answer.
        """
        if shares <= 1:
            yield iter([pa.Table.from_batches(self._batches(_COUNTED), _COUNTED)])
            return
        with (
            disk_errors(folder),
            tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as hand,
        ):
            paths = [Path(hand) / f"{share}.arrow" for share in range(shares)]
            with contextlib.ExitStack() as stack:
                files = [stack.enter_context(pa.ipc.new_stream(path, _COUNTED)) for path in paths]
                for batch in self._batches(_COUNTED):
                    for share, rows in _deal(batch, shares):
                        files[share].write_batch(rows)
            yield map(_read, paths)

    def names(self, keys: list[str]) -> dict[str, str]:
        """Return the screen names of some users by id."""
        if not keys:
            return {}
        wanted = pa.array(keys, pa.string())
        return {
            row["user_id"]: row["screen_name"]
            for batch in self._batches(_NAMED)
            for row in batch.filter(pc.is_in(batch["user_id"], value_set=wanted)).to_pylist()
        }

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self._file() as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=schema.names, use_threads=False):
                # Columns come in the file's order, and one that is not there is left out.
                yield batch.select(schema.names).cast(schema)

    @contextlib.contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        try:
            # Buffering ahead would hold all row groups at once.
            with pq.ParquetFile(self.path, pre_buffer=False) as file:
                yield file
        except (OSError, pa.ArrowException, KeyError) as error:
            raise Inconsistent(
                f"{self.path} cannot be read as a dataset ({error}); {self.way_out}"
            ) from error


def _read(path: Path) -> pa.Table:
    with pa.ipc.open_stream(path) as stream:
        return stream.read_all()


def _deal(batch: pa.RecordBatch, shares: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the rows of a batch by the share that they belong to."""
    # pandas' hash of text is SipHash under a fixed key: it spreads keys that differ in little, such
    # as consecutive ids, and is the same in both files, whatever their batches. Python's own hash
    # is neither vectorised nor, from one process to the next, the same; pyarrow offers none.
    keys = batch.column("user_id").to_numpy(zero_copy_only=False)
    share_of = hash_array(keys, categorize=False) % np.uint64(shares)
    rows = batch.take(pa.array(np.argsort(share_of, kind="stable")))
    ends = np.cumsum(np.bincount(share_of.astype(np.int64), minlength=shares))
    begin = 0
    for share, end in enumerate(ends.tolist()):
        if end > begin:
            yield share, rows.slice(begin, end - begin)
        begin = end
