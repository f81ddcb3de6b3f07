"""Compute the folds of a pipeline with DuckDB; memory is bounded by its limit and one row group."""

from __future__ import annotations

import contextlib
import tempfile
import traceback
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.errors import BadPipeline
from fanfold.pipeline import AS_OF, DATASET, Fold, Pipeline
from fanfold.stages.consolidating.tables import ROW_GROUP, write_table
from fanfold.workspace.files import disk_errors
from fanfold.workspace.paths import Workspace
from fanfold.workspace.rows import batches_of
from fanfold.workspace.sql import add_table, open_tables, query_errors, quoted, record_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_RESULT = "fanfold_result"
"""The name in SQL of what the function of a fold returned."""
_PLAIN = {
    *("boolean", "tinyint", "smallint", "integer", "bigint"),
    *("utinyint", "usmallint", "uinteger", "ubigint"),
    *("float", "double", "decimal", "varchar", "date", "time", "uuid"),
    *("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"),
}
_NESTED = {"list", "array", "struct", "map"}
_CAST = {"hugeint": "DECIMAL(38, 0)", "uhugeint": "DECIMAL(38, 0)", "enum": "VARCHAR"}
"""Types that Parquet lacks, and what they become. A sum of integers is a HUGEINT."""


def write_folds(workspace: Workspace, pipeline: Pipeline, as_of: pa.Scalar) -> dict[str, int]:
    """Compute and write the folds of a run, in order.

    Args:
        workspace: That of the run; it has the dataset.
        pipeline: The pipeline.
        as_of: The logical date of the run: the last column of each fold, unless the dataset has rows of
            a later one.

    Returns:
        The number of rows by fold.

    Raises:
        BadPipeline: A query or function fails, or its result is not a table with the fold's key.
        WorkspaceUnavailable: The disk is full, read-only or not responding.
    """
    if not pipeline.folds:
        return {}
    dataset = workspace.table(pipeline.dataset)
    rows = {}
    with open_tables({DATASET: dataset, pipeline.dataset: dataset}, workspace.spill) as connection:
        if as_of.is_valid:
            # Into a merged dataset, a backfill brings rows of an earlier date than it has.
            newest = f"SELECT coalesce(epoch_us(max({AS_OF})), 0) FROM {DATASET}"
            ((microseconds,),) = connection.execute(newest).fetchall()
            as_of = pa.scalar(max(as_of.value, microseconds), as_of.type)
        for fold in pipeline.folds:
            what = f"Fold {fold.name!r} of pipeline {pipeline.name!r}"
            made = _Made(fold, what, connection)
            rows[fold.name] = made.write(workspace, dataset, as_of)
    return rows


def table_schemas(pipeline: Pipeline, schema: pa.Schema) -> dict[str, pa.Schema]:
    """Return the schemas of the dataset and of its folds, from no rows.

    Folds from the first one that has a function are left out: without rows, it may return other types. So
    are those after one that fails without rows.

    Args:
        pipeline: The pipeline.
        schema: Schema of the dataset; the last column is ``as_of``.

    Raises:
        WorkspaceUnavailable: The disk is full, read-only or not responding.
    """
    known = replace(
        pipeline, folds=tuple(takewhile(lambda fold: fold.function is None, pipeline.folds))
    )
    with (
        disk_errors(Path(tempfile.gettempdir())),
        tempfile.TemporaryDirectory(prefix="fanfold-") as folder,
    ):
        workspace = Workspace(Path(folder))
        workspace.dataset.mkdir()
        pq.write_table(schema.empty_table(), workspace.table(pipeline.dataset))
        with contextlib.suppress(BadPipeline):
            write_folds(workspace, known, pa.scalar(None, schema.field(AS_OF).type))
        paths = {name: workspace.table(name) for name in known.tables}
        return {name: pq.read_schema(path) for name, path in paths.items() if path.exists()}


@dataclass(frozen=True, slots=True)
class _Made:
    """A fold that is being computed; ``what`` names it in errors."""

    fold: Fold
    what: str
    connection: duckdb.DuckDBPyConnection

    def write(self, workspace: Workspace, dataset: Path, as_of: pa.Scalar) -> int:
        path = workspace.table(self.fold.name)
        with query_errors(self.what):
            result = self._result(dataset)
            keys = ", ".join(f"{quoted(name)} NULLS FIRST" for name in self.fold.key)
            ordered = result.project(self._columns(result)).order(keys)
            empty = ordered.limit(0).to_arrow_table().schema
        schema = empty.append(pa.field(AS_OF, as_of.type))
        rows = write_table(
            path,
            path.with_name(f"{self.fold.name}.csv.gz"),
            schema,
            (
                pa.RecordBatch.from_arrays(
                    [*batch.columns, pa.repeat(as_of, len(batch))], schema=schema
                )
                for batch in record_batches(ordered, ROW_GROUP, self.what)
            ),
        )
        with query_errors(self.what):
            add_table(self.connection, self.fold.name, path)
            self._check_key()
        return rows

    def _result(self, dataset: Path) -> duckdb.DuckDBPyRelation:
        if self.fold.function is None:
            result = self.connection.sql(self.fold.sql)
            if result is None:
                raise BadPipeline(f"{self.what}: its SQL must be a query that returns rows.")
            return result
        table = self._called(dataset)
        self.connection.register(_RESULT, table)
        return self.connection.table(_RESULT)

    def _called(self, dataset: Path) -> pa.Table:
        function: Any = self.fold.function
        try:
            result = function(_batches(dataset))
            if isinstance(result, pd.DataFrame):
                named = any(name is not None for name in result.index.names)
                result = pa.Table.from_pandas(
                    result.reset_index() if named else result, preserve_index=False
                )
        except Exception as error:
            file = function.__code__.co_filename
            lines = [
                frame.lineno
                for frame in traceback.extract_tb(error.__traceback__)
                if frame.filename == file
            ]
            where = f" in line {lines[-1]} of {file}" if lines else ""
            raise BadPipeline(
                f"{self.what}: its function raised {type(error).__name__}{where}: {error}"
            ) from error
        if not isinstance(result, pa.Table):
            raise BadPipeline(
                f"{self.what}: its function returned {type(result).__name__}; it must return a "
                "pyarrow.Table or a pandas.DataFrame."
            )
        return result

    def _columns(self, result: duckdb.DuckDBPyRelation) -> str:
        """Return the select list of the result, with types that Parquet has."""
        names = result.columns
        if missing := [name for name in self.fold.key if name not in names]:
            raise BadPipeline(
                f"{self.what}: its key names {', '.join(map(repr, missing))}, but its result has "
                f"the columns {', '.join(names)}."
            )
        if AS_OF in (name.lower() for name in names):
            raise BadPipeline(
                f"{self.what}: its result has a column {AS_OF!r}. Leave it out (SELECT * EXCLUDE "
                f"({AS_OF}) …): each fold gets a last column of this name."
            )
        if repeated := {name for name in names if names.count(name) > 1}:
            raise BadPipeline(
                f"{self.what}: its result has several columns {', '.join(map(repr, repeated))}; "
                "rename them with AS."
            )
        return ", ".join(map(self._column, names, result.types))

    def _column(self, name: str, kind: Any) -> str:
        if kind.id in _CAST:
            return f"CAST({quoted(name)} AS {_CAST[kind.id]}) AS {quoted(name)}"
        if not _fits(kind):
            raise BadPipeline(
                f"{self.what}: its column {name!r} has the type {kind}, which a dataset cannot "
                "hold. Cast it to a number, a text or a time: CAST(… AS VARCHAR)."
            )
        return quoted(name)

    def _check_key(self) -> None:
        """Check that no key is null or occurs twice; the rows are sorted by key."""
        key = ", ".join(map(quoted, self.fold.key))
        nulls = " OR ".join(f"{quoted(name)} IS NULL" for name in self.fold.key)
        wrong = self.connection.execute(
            f"SELECT {nulls}, {key} FROM "
            f"(SELECT {key}, lag(row({key})) OVER () AS before FROM {quoted(self.fold.name)}) "
            f"WHERE {nulls} OR before = row({key}) LIMIT 1"
        ).fetchone()
        if wrong:
            is_null, *values = wrong
            row = ", ".join(
                f"{name}={value!s}" for name, value in zip(self.fold.key, values, strict=True)
            )
            raise BadPipeline(
                f"{self.what}: the key of a row must not be null, but there is {row}."
                if is_null
                else f"{self.what}: its key must identify a row, but several rows have {row}."
            )


def _fits(kind: Any) -> bool:
    """Return whether Parquet and CSV can hold a DuckDB type."""
    if kind.id in _NESTED:
        return all(_fits(child) for _, child in kind.children if hasattr(child, "id"))
    return kind.id in _PLAIN


def _batches(dataset: Path) -> Iterator[pa.RecordBatch]:
    # pre_buffer would keep all row groups in memory.
    with pq.ParquetFile(dataset, pre_buffer=False) as file:
        yield from batches_of(file, ROW_GROUP)
