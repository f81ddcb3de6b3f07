"""Merge the rows of a run into the last published dataset (``mode="merge"``).

The dataset is the newest row of each key of the *state*: for files, all rows of the current version of
each file; for other sources, the newest row of each key. Column ``_status`` of the state says which
rows these are. So a run changes that of the few keys which it adds or removes, and all other rows are
copied as they are, without a sort: state, rows of the run and dataset are in the order of the items.

DuckDB finds the rows whose status changes: by the hash of their key first, and only where two rows
have the same one by comparing them. Memory is bounded by its limit, one row group, and one byte a row.
"""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent
from fanfold.model import Status
from fanfold.pipeline import AS_OF
from fanfold.sources import Files
from fanfold.stages.consolidating.interleaving import interleaved
from fanfold.stages.consolidating.tables import ROW_GROUP, row_groups
from fanfold.workspace.base import Base, BaseRef, ledger_schema, read_base_ref
from fanfold.workspace.batch import ITEM
from fanfold.workspace.files import disk_errors, read_jsonl, whole_file
from fanfold.workspace.rows import batches_of
from fanfold.workspace.sql import open_tables, query_errors, quoted, record_batches, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import duckdb

    from fanfold.model import Item, RunIdentity
    from fanfold.pipeline import Pipeline
    from fanfold.workspace.batch import Batch
    from fanfold.workspace.paths import Workspace

MEMORY = "200MB"
"""Memory limit of DuckDB. Of 10,000,000 rows, a first run took 230 MB in it, a merge much less."""
GENERATION = "_generation"
STATUS = "_status"
SUPERSEDED, CURRENT, DELETED = 0, 1, 2
"""Status of a row: a newer row has its key; it is in the dataset; it is the newest one and deleted."""
_KEEP, _GONE, _LOST, _WON = 0, 1, 2, 3
"""What happens to a row: nothing; it is dropped; another row has become newer; no row is newer any more."""
_WHAT = "Merging into the published dataset"


@dataclass(slots=True)
class Merged:
    """What a merge made.

    Attributes:
        state_rows: Rows of the state.
        items: Rows of the ledger.
        superseded, deleted, pending: As in the manifest.
    """

    state_rows: int = 0
    items: int = 0
    superseded: int = 0
    deleted: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class RunRows:
    """The rows of a run.

    Attributes:
        batches: Its batches.
        rows: Number of rows of each.
        read: Yields the rows of a batch with ``_item``.
    """

    batches: Sequence[Batch]
    rows: Sequence[int]
    read: Callable[[Batch, int], Iterable[pa.RecordBatch]]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows, in the order of the plan."""
        for batch, rows in zip(self.batches, self.rows, strict=True):
            yield from self.read(batch, rows)


def usable_base(base: Base | None, ref: BaseRef, version: str) -> Base | None:
    """Return the base without what must not be merged.

    Args:
        base: The latest published dataset.
        ref: The one by which the run chose its items.
        version: Version of the run's rows.

    Raises:
        Inconsistent: The rows of the base have another version, and the run neither replaces nor keeps
            them.
    """
    if base is None or base.state is None:
        return None
    manifest = base.manifest
    if manifest.rows_version == version or ref.keep:
        return base
    if ref.rebuild and manifest.generation <= ref.generation:
        return None
    raise Inconsistent(
        f"Run {manifest.run_id!r} published rows of another version of the pipeline "
        f"({manifest.rows_version}, this one is {version}): its transform, contract, key or source has "
        "changed. Trigger a new run with earlier_rows=rebuild to read all items again, or with "
        "earlier_rows=keep to merge the rows as they are."
    )


class Merge:
    """The merge of one run; a block in which :meth:`rows` may be read once.

    Args:
        workspace: That of the run.
        run: Its identity.
        pipeline: Its pipeline.
        rows: Its rows.
        schema: Schema of the dataset.
        base: What it is merged into, from :func:`usable_base`.
        generation: That of the result.
        version: Version of its rows.
    """

    def __init__(  # noqa: PLR0913 - all that a merge depends on
        self,
        workspace: Workspace,
        run: RunIdentity,
        pipeline: Pipeline,
        rows: RunRows,
        *,
        schema: pa.Schema,
        base: Base | None,
        generation: int,
        version: str,
    ) -> None:
        self._workspace, self._run, self._pipeline = workspace, run, pipeline
        self._run_rows, self._schema, self._base = rows, schema, base
        self._generation = generation
        self._ref = read_base_ref(workspace)
        self._all = base is not None and base.manifest.rows_version != version
        self._files = isinstance(pipeline.source, Files)
        self._state_schema = pa.schema(
            [
                pa.field(ITEM, pa.string(), nullable=False),
                pa.field(GENERATION, pa.int64(), nullable=False),
                pa.field(STATUS, pa.int8(), nullable=False),
                *schema,
            ]
        )
        self._scratch = workspace.spill / "merge"
        self.result = Merged()

    @contextmanager
    def prepared(self) -> Iterator[Iterator[pa.RecordBatch]]:
        """Write the ledger; yield the rows of the dataset, and write the state while they are read.

        Raises:
            Inconsistent: The state has other columns than the contract.
            WorkspaceUnavailable: The disk is full, read-only or not responding.
        """
        dataset, folder = self._pipeline.dataset, self._workspace.dataset
        try:
            with disk_errors(self._scratch):
                self._scratch.mkdir(parents=True, exist_ok=True)
            state = self._aligned_state()
            mine = self._scratch / "mine.parquet"
            in_order = self._write_mine(mine)
            run_files = self._run_files(in_order)
            of_state, of_run = self._changes(state, mine, run_files, ledger_path(folder, dataset))
            with whole_file(state_path(folder, dataset)) as path:
                old = self._old_rows(state, of_state)
                new = self._new_rows(run_files, of_run, in_order=in_order)
                yield self._written(path, interleaved(old, new))
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    # The inputs

    def _aligned_state(self) -> Path | None:
        """Return the state of the base, with the columns of the contract if it has others."""
        path = self._base.state if self._base else None
        if path is None or pq.read_schema(path).equals(self._state_schema):
            return path
        aligned = self._scratch / "state.parquet"
        with pq.ParquetWriter(aligned, self._state_schema) as writer:
            for batch in _batches(path):
                try:
                    columns = [_cast(batch, field) for field in self._state_schema]
                    table = pa.Table.from_arrays(columns, schema=self._state_schema)
                    table.validate(full=True)
                    for field in self._state_schema:
                        if not field.nullable and table[field.name].null_count:
                            raise pa.ArrowInvalid(f"column {field.name!r} is new and not nullable")
                except pa.ArrowException as error:
                    raise Inconsistent(
                        f"The published rows cannot be kept under the contract of pipeline "
                        f"{self._pipeline.name!r}: {error}. Trigger a new run with "
                        "earlier_rows=rebuild to read all items again."
                    ) from error
                writer.write_table(table)
        return aligned

    def _write_mine(self, path: Path) -> bool:
        """Write what became of the run's items; return whether they are sorted by key."""
        schema = ledger_schema()
        in_order, last = True, ""
        with pq.ParquetWriter(path, schema) as writer:
            for batch in self._run_rows.batches:
                failed = batch.failed()
                rejected = Counter(row["item"] for row in read_jsonl(batch.rejected_file))
                lines = []
                for item in batch.items():
                    in_order, last = in_order and last <= item.key, item.key
                    outcome = failed.get(item.key)
                    lines.append(
                        {
                            **self._attributes(item),
                            "item": item.key,
                            "status": str(outcome.status if outcome else Status.OK),
                            "reason": outcome.reason if outcome else "",
                            "rows": 0,
                            "rejected": rejected[item.key],
                            "generation": self._generation,
                            "run_id": self._run.run_id,
                        }
                    )
                writer.write_table(pa.Table.from_pylist(lines, schema))
        return in_order

    def _attributes(self, item: Item) -> dict[str, Any]:
        given = item.attributes if self._files else {}
        found = {name: given.get(name) for name in ("etag", "size", "modified", "date")}
        return {
            name: value if name == "size" or value is None else str(value)
            for name, value in found.items()
        }

    def _run_files(self, in_order: bool) -> list[Path]:  # noqa: FBT001
        """Return the files with the rows of the run, in the order of items."""
        batches = self._run_rows.batches
        if in_order:
            return [batch.rows_file for batch in batches]
        path = self._scratch / "sorted.parquet"
        with self._opened({}) as connection:
            self._add_run(connection, [batch.rows_file for batch in batches])
            ordered = connection.sql(f"SELECT * EXCLUDE (_n) FROM run ORDER BY {ITEM}, _n")
            schema = pa.schema([self._state_schema.field(ITEM), *self._schema])
            with pq.ParquetWriter(path, schema) as writer:
                for batch in record_batches(ordered, ROW_GROUP, _WHAT):
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
        return [path]

    # The changes

    @contextmanager
    def _opened(self, tables: dict[str, Path]) -> Iterator[duckdb.DuckDBPyConnection]:
        batch = self._workspace.batch(0)
        # Its folder may be read; the rows of all batches are in it.
        tables = {**tables, "first_batch": batch.rows_file}
        with (
            open_tables(tables, self._scratch, memory=MEMORY) as connection,
            query_errors(_WHAT),
        ):
            yield connection

    def _add_run(self, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> None:
        """Add a view of the run's rows; ``_n`` is their position."""
        starts = [0, *accumulate(pq.read_metadata(path).num_rows for path in paths)]
        connection.execute(
            f"CREATE VIEW run AS SELECT *, ({starts})[file_index::BIGINT + 1]::BIGINT + file_row_number AS _n "
            f"FROM read_parquet([{', '.join(map(text, paths))}])"
        )

    def _changes(
        self, state: Path | None, mine: Path, run_files: Sequence[Path], ledger: Path
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Write the ledger; return what happens to each row of the state and of the run."""
        of_run = np.zeros(sum(self._run_rows.rows), np.int8)
        tables = {"mine": mine}
        if state is None or self._base is None or self._base.ledger is None:
            of_state = np.zeros(0, np.int8)
        else:
            of_state = np.zeros(pq.read_metadata(state).num_rows, np.int8)
            tables |= {"state_rows": state, "base": self._base.ledger}
        with self._opened(tables) as connection:
            run = connection.execute
            self._add_run(connection, run_files)
            run(
                "CREATE VIEW state AS SELECT *, file_row_number AS _n FROM "
                + (f"read_parquet({text(state)})" if state else self._no_rows())
            )
            if state is None:
                run("CREATE VIEW base AS FROM mine LIMIT 0")
            self._classify_items(connection)
            self._write_ledger(connection, ledger)
            for number, flags in enumerate((of_state, of_run)):
                for positions, change in self._found(connection, is_run=bool(number)):
                    flags[positions] = change
        return of_state, of_run

    def _no_rows(self) -> str:
        return (
            f"(SELECT *, 0::BIGINT AS {GENERATION}, 0::TINYINT AS {STATUS}, _n AS file_row_number "
            "FROM run LIMIT 0)"
        )

    def _classify_items(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make tables of items: ``older`` than what another run published since, and ``replaced``."""
        since = (
            f"base.generation > {self._ref.generation} AND "
            "try_cast(mine.modified AS TIMESTAMPTZ) < try_cast(base.modified AS TIMESTAMPTZ)"
        )
        lasting = f"'{Status.OK}', '{Status.MISSING}'"
        connection.execute(
            "CREATE TABLE older AS SELECT item FROM mine JOIN base USING (item) "
            f"WHERE {since if self._files else 'false'}"
        )
        connection.execute(
            "CREATE TABLE replaced AS SELECT item FROM mine ANTI JOIN older USING (item) "
            f"WHERE {f'status IN ({lasting})' if self._files else 'false'}"
        )
        gone = f"{ITEM} IN (FROM replaced)"
        if self._ref.rebuild:
            gone += (
                f" OR ({GENERATION} <= {self._ref.generation} AND {ITEM} NOT IN "
                f"(SELECT item FROM mine WHERE status NOT IN ({lasting}) UNION FROM older))"
            )
        key = ", ".join(map(quoted, self._pipeline.key))
        connection.execute(
            f"CREATE TABLE gone AS SELECT _n, hash({key}) AS h FROM state WHERE {gone}"
        )

    def _found(
        self, connection: duckdb.DuckDBPyConnection, *, is_run: bool
    ) -> Iterator[tuple[np.ndarray[Any, Any], int]]:
        """Yield positions of rows and what happens to them; a later change replaces an earlier one."""
        if is_run:
            yield from _positions(
                connection, f"SELECT _n FROM run WHERE {ITEM} IN (FROM older)", _GONE
            )
            yield from _positions(
                connection, "SELECT _n FROM ranked WHERE _run AND _rank > 1", _LOST
            )
            return
        self._rank(connection)
        # Of rows of another version, `deleted` may be another column.
        won = "" if self._all else f"WHERE {STATUS} = {SUPERSEDED}"
        yield from _positions(connection, f"SELECT _n FROM near {won}", _WON)
        yield from _positions(connection, "SELECT _n FROM gone", _GONE)
        yield from _positions(
            connection, "SELECT _n FROM ranked WHERE NOT _run AND _rank > 1", _LOST
        )

    def _rank(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the tables ``near``, rows of the state whose key the run touches, and ``ranked``."""
        key = ", ".join(map(quoted, self._pipeline.key))
        hashed = f"hash({key})"
        order = (
            [f"{quoted(self._pipeline.newest)} DESC NULLS LAST"] if self._pipeline.newest else []
        )
        if not self._files:
            order += [f"{AS_OF} DESC", f"{GENERATION} DESC"]
        order += [f"{ITEM} DESC", "_n DESC"]
        wanted = dict.fromkeys(
            [ITEM, AS_OF, *self._pipeline.key, *filter(None, [self._pipeline.newest])]
        )
        columns = ", ".join(map(quoted, wanted))
        fresh = f"FROM run WHERE {ITEM} NOT IN (FROM older)"
        lasting = "FROM state WHERE _n NOT IN (SELECT _n FROM gone)"
        hashes = f"SELECT {hashed} AS h {fresh}"
        touched = f" AND {hashed} IN ({hashes} UNION ALL SELECT h FROM gone)"
        if self._all or self._base is None:
            touched = ""  # all of them, or there are none
        run = connection.execute
        run(f"CREATE TABLE near AS SELECT _n, {STATUS}, {hashed} AS h {lasting}{touched}")
        run(
            f"CREATE TABLE twice AS SELECT h FROM (SELECT h FROM near UNION ALL {hashes}) "
            "GROUP BY h HAVING count(*) > 1"
        )
        run(
            f"CREATE TABLE ranked AS SELECT _run, _n, row_number() OVER (PARTITION BY {key} "
            f"ORDER BY {', '.join(order)}) AS _rank FROM ("
            f"SELECT false AS _run, _n, {GENERATION}, {columns} {lasting} "
            f"AND {hashed} IN (FROM twice) UNION ALL "
            f"SELECT true, _n, {self._generation}, {columns} {fresh} AND {hashed} IN (FROM twice))"
        )

    def _write_ledger(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        """Write the ledger and count what is pending."""
        schema = ledger_schema()
        names = ", ".join(schema.names)
        dropped = f"AND generation > {self._ref.generation}" if self._ref.rebuild else ""
        lasting = f"mine.status IN ('{Status.OK}', '{Status.MISSING}')"
        kept = "coalesce(base.rows, 0)" if self._files else "0"
        rows = f"CASE WHEN {lasting} THEN coalesce(found.rows, 0) ELSE {kept} END AS rows"
        relation = connection.sql(
            f"SELECT {names} FROM base WHERE item IN (FROM older) "
            f"OR (item NOT IN (SELECT item FROM mine) {dropped}) UNION ALL "
            f"SELECT mine.* REPLACE ({rows}) FROM mine "
            f"LEFT JOIN (SELECT {ITEM} AS item, count(*) AS rows FROM run GROUP BY 1) found USING (item) "
            "LEFT JOIN base USING (item) WHERE item NOT IN (FROM older) ORDER BY item"
        )
        pending = pa.array([str(Status.FAILED), str(Status.INVALID)])
        with whole_file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for group in row_groups(record_batches(relation, ROW_GROUP, _WHAT)):
                writer.write_table(group.cast(schema))
                self.result.items += len(group)
                self.result.pending += pc.sum(pc.is_in(group["status"], pending)).as_py() or 0

    # The rows

    def _old_rows(self, path: Path | None, changes: np.ndarray[Any, Any]) -> Iterator[pa.Table]:
        """Yield the rows of the state that remain, with their new status."""
        start = 0
        for batch in _batches(path) if path else ():
            change = changes[start : start + len(batch)]
            start += len(batch)
            rows = pa.Table.from_batches([batch])
            if change.any():
                status = batch[STATUS].to_numpy()
                status = np.where(change == _LOST, SUPERSEDED, status)
                status = np.where(change == _WON, self._status(rows), status)
                rows = self._with_status(rows, status, change)
            yield rows

    def _new_rows(
        self, paths: Sequence[Path], changes: np.ndarray[Any, Any], *, in_order: bool
    ) -> Iterator[pa.Table]:
        """Yield the rows of the run, with their status."""
        start = 0
        batches = self._run_rows if in_order else _batches(paths[0])
        for batch in batches:
            change = changes[start : start + len(batch)]
            start += len(batch)
            generation = pa.repeat(pa.scalar(self._generation, pa.int64()), len(batch))
            status = pa.repeat(pa.scalar(CURRENT, pa.int8()), len(batch))
            columns = [batch[ITEM], generation, status, *(batch[n] for n in self._schema.names)]
            rows = pa.Table.from_arrays(columns, schema=self._state_schema)
            status = np.where(change == _LOST, SUPERSEDED, self._status(rows))
            yield self._with_status(rows, status, change)

    def _status(self, rows: pa.Table) -> np.ndarray[Any, Any]:
        """Return the status of rows if no other row is newer."""
        if not self._pipeline.deleted:
            return np.full(len(rows), CURRENT, np.int8)
        deleted = pc.fill_null(rows[self._pipeline.deleted], fill_value=False).to_numpy()
        return np.where(deleted, DELETED, CURRENT).astype(np.int8)

    def _with_status(
        self, rows: pa.Table, status: np.ndarray[Any, Any], change: np.ndarray[Any, Any]
    ) -> pa.Table:
        """Return the rows that the state holds; superseded ones only if they are of files."""
        place = rows.schema.get_field_index(STATUS)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(status, pa.int8()))
        drop = change == _GONE
        if not self._files:
            lost = ~drop & (status == SUPERSEDED)
            self.result.superseded += int(lost.sum())
            drop |= lost
        return rows.filter(pa.array(~drop)) if drop.any() else rows

    def _written(self, path: Path, parts: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
        """Write the state; yield the rows of the dataset."""
        batches = (batch for part in parts for batch in part.to_batches())
        with pq.ParquetWriter(path, self._state_schema, compression="zstd") as writer:
            for group in row_groups(batches):
                writer.write_table(group)
                status = group[STATUS].to_numpy()
                self.result.state_rows += len(group)
                self.result.superseded += int((status == SUPERSEDED).sum())
                self.result.deleted += int((status == DELETED).sum())
                rows = group.select(self._schema.names)
                current = status == CURRENT
                yield from (rows if current.all() else rows.filter(pa.array(current))).to_batches()


def state_path(folder: Path, dataset: str) -> Path:
    """Return the file of a state."""
    return folder / f"{dataset}.state.parquet"


def ledger_path(folder: Path, dataset: str) -> Path:
    """Return the file of a ledger."""
    return folder / f"{dataset}.ledger.parquet"


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    # pre_buffer would keep all row groups in memory.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        yield from batches_of(file, ROW_GROUP)


def _cast(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """Return a column in the type of a field, or nulls if there is none.

    Raises:
        pa.ArrowException: That would change a value. Arrow itself drops the time of a timestamp that becomes
            a date, and rounds to float32 and decimals, without an error.
    """
    if field.name not in batch.schema.names:
        return pa.nulls(len(batch), field.type)
    before = batch[field.name]
    if before.type == field.type:
        return before
    after = before.cast(field.type)
    is_text = pa.types.is_string(before.type) or pa.types.is_dictionary(before.type)
    if not is_text and not after.cast(before.type).equals(before):
        raise pa.ArrowInvalid(
            f"{before.type} to {field.type} would change values of column {field.name!r}"
        )
    return after


def _positions(
    connection: duckdb.DuckDBPyConnection, query: str, change: int
) -> Iterator[tuple[np.ndarray[Any, Any], int]]:
    for batch in record_batches(connection.sql(query), 1 << 16, _WHAT):
        yield batch["_n"].to_numpy(), change
