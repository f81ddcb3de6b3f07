"""Compare a run's dataset with that of the previous run: users added, removed and changed.

A hash join: both files are partitioned by the hash of the key into temporary files, which are
compared one pair at a time. Memory is bounded by one pair and the examples.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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
"""Maximum number of examples of each kind."""

_SHARE_ROWS = 250_000
"""Average rows of a partition in the larger file; a pair takes about 30 MB."""
_MOST_SHARES = 500
"""Limit of open files; above 125 million rows the partitions grow instead."""
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
    """Users in only one dataset; examples are (user id, screen name), most followers first."""

    count: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A user whose number of followers changed; ``name`` is the current screen name."""

    user_id: str
    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a dataset differs from the previous one.

    Attributes:
        previous: Run id of the previous dataset.
        previous_date: Its logical date (ISO 8601, UTC).
        both: Number of users in both.
        new: Users only in the current dataset.
        gone: Users only in the previous dataset.
        changed: Number of users in both whose followers changed.
        most_changed: Examples of these, largest difference first.
    """

    previous: str
    previous_date: str
    both: int
    new: Side
    gone: Side
    changed: int
    most_changed: tuple[Change, ...]


def compare(dataset: Path, before: Path, *, previous: str, previous_date: str) -> Comparison:
    """Compare a dataset (Parquet file) with that of the run ``previous``.

    Returns:
        Counts, and up to :data:`SHOWN` examples of each kind; ties are ordered by id.

    Raises:
        Inconsistent: A file is missing or is not a dataset.
        WorkspaceUnavailable: The disk is full, read-only or does not respond.
    """
    now = _Dataset(dataset, "Clear `consolidate` with its downstream tasks.")
    then = _Dataset(before, f"Clear `consolidate` of the run {previous}, which wrote it.")
    shares = min(_MOST_SHARES, math.ceil(max(now.rows(), then.rows()) / _SHARE_ROWS))
    result = _Result()
    folder = dataset.parent
    with now.partitioned(shares, folder) as ours, then.partitioned(shares, folder) as theirs:
        for one, other in zip(ours, theirs, strict=True):
            result.add(one, other)
    new, gone = (rows["user_id"].to_pylist() for rows in (result.new, result.gone))
    changes = result.changes.to_pylist()
    names = now.names([*new, *(row["user_id"] for row in changes)])
    former = then.names(gone)
    return Comparison(
        previous=previous,
        previous_date=previous_date,
        both=result.both,
        new=Side(result.new_count, tuple((key, names[key]) for key in new)),
        gone=Side(result.gone_count, tuple((key, former[key]) for key in gone)),
        changed=result.changed,
        most_changed=tuple(
            Change(row["user_id"], names[row["user_id"]], row["before"], row["after"])
            for row in changes
        ),
    )


def compare_with_previous(workspace: Workspace, manifest: Manifest) -> str:
    """Compare a run's dataset with the previous run's and write the result.

    Returns:
        The result in one sentence, for the log.

    Raises:
        Inconsistent: A file is missing or is not a dataset.
        WorkspaceUnavailable: The disk is full, read-only or does not respond.
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
    write_json(workspace.comparison, asdict(comparison))
    return (
        f"Since {before.run_id}: {comparison.new.count} users are new, {comparison.gone.count} are "
        f"gone, {comparison.changed} have a different number of followers."
    )


@dataclass(slots=True)
class _Result:
    """Counts and top rows of the partitions compared so far."""

    both: int = 0
    new_count: int = 0
    gone_count: int = 0
    changed: int = 0
    new: pa.Table = field(default_factory=_COUNTED.empty_table)
    gone: pa.Table = field(default_factory=_COUNTED.empty_table)
    changes: pa.Table = field(default_factory=_CHANGED.empty_table)

    def add(self, now: pa.Table, then: pa.Table) -> None:
        """Compare one partition of both datasets."""
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
    """Return the rows whose followers changed; both tables have the same keys in order."""
    before, after = then["followers_count"], now["followers_count"]
    difference = pc.abs(pc.subtract(after, before))
    table = pa.table([now["user_id"], before, after, difference], schema=_CHANGED)
    return table.filter(pc.greater(difference, 0))


def _first(column: str, *tables: pa.Table) -> pa.Table:
    """Return the rows with the largest values of a column; ties are ordered by id."""
    # Ids are unique, so the result is deterministic although the selection is unstable.
    order = [(column, "descending"), ("user_id", "ascending")]
    rows = pa.concat_tables(tables)
    return rows.take(pc.select_k_unstable(rows, SHOWN, order))


@dataclass(frozen=True, slots=True)
class _Dataset:
    """A Parquet file, and what to do if it cannot be read."""

    path: Path
    remedy: str

    def rows(self) -> int:
        """Return the number of rows."""
        with self._file() as file:
            return int(file.metadata.num_rows)

    @contextlib.contextmanager
    def partitioned(self, shares: int, folder: Path) -> Iterator[Iterator[pa.Table]]:
        """Yield id and followers of the rows by partition, from temporary files in ``folder``.

        Raises:
            WorkspaceUnavailable: The disk is full, read-only or does not respond.
        """
        if shares <= 1:
            yield iter([pa.Table.from_batches(self._batches(_COUNTED), _COUNTED)])
            return
        with (
            disk_errors(folder),
            tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as temporary,
        ):
            paths = [Path(temporary) / f"{share}.arrow" for share in range(shares)]
            with contextlib.ExitStack() as stack:
                files = [stack.enter_context(pa.ipc.new_stream(path, _COUNTED)) for path in paths]
                for batch in self._batches(_COUNTED):
                    for share, rows in _partition(batch, shares):
                        files[share].write_batch(rows)
            yield map(_read, paths)

    def names(self, keys: list[str]) -> dict[str, str]:
        """Return screen names by user id."""
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
                # Columns come in the order of the file; missing ones are omitted.
                yield batch.select(schema.names).cast(schema)

    @contextlib.contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        try:
            # pre_buffer would keep all row groups in memory.
            with pq.ParquetFile(self.path, pre_buffer=False) as file:
                yield file
        except (OSError, pa.ArrowException, KeyError) as error:
            raise Inconsistent(
                f"Cannot read the dataset {self.path} ({error}). {self.remedy}"
            ) from error


def _read(path: Path) -> pa.Table:
    with pa.ipc.open_stream(path) as stream:
        return stream.read_all()


def _partition(batch: pa.RecordBatch, shares: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the rows of a batch by partition."""
    # pandas hashes text with SipHash under a fixed key: evenly distributed and deterministic.
    keys = batch.column("user_id").to_numpy(zero_copy_only=False)
    share_of = hash_array(keys, categorize=False) % np.uint64(shares)
    rows = batch.take(pa.array(np.argsort(share_of, kind="stable")))
    ends = np.cumsum(np.bincount(share_of.astype(np.int64), minlength=shares))
    begin = 0
    for share, end in enumerate(ends.tolist()):
        if end > begin:
            yield share, rows.slice(begin, end - begin)
        begin = end
