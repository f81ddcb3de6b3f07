"""Compare the datasets of two runs of a DAG: rows added, removed and changed.

DuckDB joins keys and digests of both datasets' rows, within its memory limit; only the rows that are
shown are looked up in full. Two rows are equal if the 64-bit digests of their compared columns are. A
row that only one run has comes with the outcome of its item in the other run.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from fanfold.errors import BadInput, Inconsistent
from fanfold.queries import comparison_sql as sql
from fanfold.queries.comparison_types import Change, Comparison, Histogram, LoneRow, Side
from fanfold.queries.engine import NESTED, NUMBERS, PLACE, opened
from fanfold.workspace.csv_cells import for_csv
from fanfold.workspace.files import disk_errors
from fanfold.workspace.sql import query_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.model import Plan
    from fanfold.workspace.paths import Workspace

_WHAT = "Comparison of two runs"


def compare(workspace: Workspace, plan: Plan, other: Workspace, column: str | None) -> Comparison:
    """Compare the dataset of a run with that of another run.

    Args:
        workspace: The run.
        plan: Its plan.
        other: The other run, usually an earlier one.
        column: A numeric column; None for the plan's ``measure``, else the first one.

    Raises:
        BadInput: A dataset lacks a column of the key, or there is no such numeric column in both.
        Inconsistent: A file is missing or is not a dataset.
        BadPipeline: The comparison takes too much memory or time.
        WorkspaceUnavailable: The disk is full, read-only or does not respond.
    """
    with _compared(workspace, plan, other, column) as (connection, columns, repeated):
        counts = dict(connection.execute(sql.COUNTS).fetchall())
        [(rows,)] = connection.execute("SELECT count(*) FROM now_rows").fetchall()
        sides = {}
        for state in ("new", "gone"):
            examples = connection.execute(sql.examples(columns, state)).fetchall()
            sides[state] = Side(
                counts.get(state, 0),
                dict(connection.execute(sql.OUTCOMES, [state]).fetchall()),
                tuple(LoneRow(tuple(key), label, outcome) for key, label, outcome, *_ in examples),
            )
        changes = connection.execute(sql.examples(columns, "changed")).fetchall()
        histogram = None
        if columns.column:
            bins = dict(connection.execute(sql.HISTOGRAM).fetchall())
            counted = tuple(bins.get(place, 0) for place in range(len(sql.EDGES) + 1))
            histogram = Histogram(sql.EDGES, counted, bins.get(None, 0))
    changed = counts.get("changed", 0)
    return Comparison(
        key=columns.key,
        columns=columns.numeric,
        column=columns.column,
        **sides,
        changed=changed,
        unchanged=rows - sides["new"].count - changed,
        changes=tuple(_change(columns, row) for row in changes),
        histogram=histogram,
        repeated=repeated,
        added=columns.added,
        removed=columns.removed,
        retyped=columns.retyped,
    )


def write_differences(
    workspace: Workspace, plan: Plan, other: Workspace, column: str | None
) -> IO[bytes]:
    """Return an unnamed CSV file (UTF-8) with all rows that are new, gone or changed.

    Its columns are ``change``, those of the key, ``label``, ``outcome`` (as in :class:`LoneRow`),
    ``before``, ``after``, ``difference`` and ``share`` of the column, and ``columns`` that changed.

    Raises:
        BadInput, Inconsistent, BadPipeline, WorkspaceUnavailable: As :func:`compare`.
    """
    with (
        _compared(workspace, plan, other, column) as (connection, columns, _),
        disk_errors(workspace.spill),
    ):
        file: IO[bytes] = tempfile.TemporaryFile(dir=workspace.spill)  # noqa: SIM115 - returned
        differences = map(for_csv, _differences(connection, columns))
        first = next(differences)
        with pa_csv.CSVWriter(file, first.schema) as writer:
            for rows in itertools.chain([first], differences):
                writer.write_table(rows)
    file.seek(0)
    return file


def _differences(connection: duckdb.DuckDBPyConnection, columns: sql.Columns) -> Iterator[pa.Table]:
    """Yield the rows of the CSV file: with a header, also if there are none."""
    query = sql.differences(columns)
    [(places,)] = connection.execute(sql.PLACES).fetchall()
    for state in ("new", "gone", "changed"):
        for start in range(0, places, sql.RANGE) or (0,):
            range_of = [state, start, start + sql.RANGE]
            yield connection.sql(query, params=range_of).to_arrow_table()


@contextmanager
def _compared(
    workspace: Workspace, plan: Plan, other: Workspace, column: str | None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, sql.Columns, bool]]:
    """Yield a connection with the table ``pair``, the columns, and whether keys are repeated."""
    runs = {"now": workspace, "old": other}
    paths = {name: run.table(plan.dataset) for name, run in runs.items()}
    for path in paths.values():
        with _readable(path), pq.ParquetFile(path):
            pass
    folders = [run.plan.parent / "items" for run in runs.values()]
    with opened(paths, workspace.spill, folders=folders) as connection, query_errors(_WHAT):
        columns = _columns(connection, plan, column)
        for name, path in paths.items():
            with _readable(path):
                connection.execute(sql.digests(name, columns))
        repeated = any(connection.execute(sql.repeated(name, columns)).fetchall() for name in runs)
        if repeated:
            for name in runs:
                connection.execute(sql.numbered(name, columns))
        connection.execute(sql.pairs(columns))
        if columns.item:
            for state, run in (("new", other), ("gone", workspace)):
                if statement := sql.set_outcomes(state, run):
                    connection.execute(statement)
        yield connection, columns, repeated


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, OSError, ValueError) as error:
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.InterruptException):
            raise
        if "write" in str(error):
            raise  # not the dataset: the spill folder
        raise Inconsistent(
            f"Cannot read the dataset {path} ({error}). Clear `consolidate` of its run."
        ) from error


def _columns(connection: duckdb.DuckDBPyConnection, plan: Plan, column: str | None) -> sql.Columns:
    now, old = (
        {name: kind for name, kind in zip(view.columns, view.types, strict=True) if name != PLACE}
        for view in (connection.table("now"), connection.table("old"))
    )
    if lacking := [name for name in plan.row_key if name not in now or name not in old]:
        raise BadInput(f"Not both datasets have the key's columns {', '.join(lacking)}.")
    ignored = {*plan.row_key, *plan.not_compared}
    both = [name for name in now if name in old and name not in ignored]
    compared = tuple(name for name in both if now[name] == old[name])
    numeric = tuple(name for name in compared if now[name].id in NUMBERS)
    if column is None:
        column = plan.measure if plan.measure in numeric else next(iter(numeric), "")
    elif column not in numeric:
        raise BadInput(f"Not both datasets have a numeric column {column[:100]!r}.")
    of_item = plan.key_column if plan.mode == "snapshot" else None
    return sql.Columns(
        key=plan.row_key,
        as_text=(
            *(name for name in plan.row_key if now[name] != old[name]),
            *(name for name in both if now[name].id in NESTED),
        ),
        compared=compared,
        numeric=numeric,
        column=column,
        item=of_item if of_item in now and of_item in old else None,
        label=plan.label,
        labels=tuple(name for name, side in (("now", now), ("old", old)) if plan.label in side),
        added=tuple(name for name in now if name not in old),
        removed=tuple(name for name in old if name not in now),
        retyped=tuple(name for name in both if now[name] != old[name]),
    )


def _change(columns: sql.Columns, row: Any) -> Change:
    key, label, _, before, after, differs = row
    changed = [name for name, is_so in zip(columns.compared, differs, strict=True) if is_so]
    return Change(tuple(key), label, _number(before), _number(after), tuple(changed))


def _number(value: Any) -> float | None:
    """Return a value as a number that JSON can hold."""
    if value is None or isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None
