"""Compare a run's dataset with that of the previous run: rows added, removed and changed.

DuckDB joins keys and digests of both datasets' rows, within its memory limit; only the examples are
looked up in full. Two rows are equal if the 64-bit digests of their compared columns are.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq

from fanfold.errors import Inconsistent
from fanfold.pipeline import AS_OF
from fanfold.workspace.comparison import (
    SHOWN,
    VALUE_LIMIT,
    Change,
    Comparison,
    Example,
    Side,
)
from fanfold.workspace.files import write_json
from fanfold.workspace.history import read_history, run_before
from fanfold.workspace.sql import open_tables, query_errors, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.model import Manifest
    from fanfold.pipeline import Pipeline
    from fanfold.workspace.paths import Workspace

_NUMBERS = {
    *("tinyint", "smallint", "integer", "bigint"),
    *("utinyint", "usmallint", "uinteger", "ubigint"),
    *("float", "double", "decimal"),
}
"""DuckDB's numeric types in Parquet files."""
_NESTED = {"list", "array", "struct", "map"}
_SIZE = "CASE WHEN isfinite({0}) THEN {0} END DESC NULLS LAST"
_ORDER = {
    "new": _SIZE.format("after::DOUBLE"),
    "gone": _SIZE.format("before::DOUBLE"),
    "changed": "before IS NOT DISTINCT FROM after, "
    + _SIZE.format("nullif(abs(after::DOUBLE - before::DOUBLE), 0)"),
}
"""The order of the examples, before their key."""
_NOTHING = "There is no previous dataset to compare with."


def compare_with_previous(workspace: Workspace, manifest: Manifest, pipeline: Pipeline) -> str:
    """Compare a run's dataset with the previous run's and write ``comparison.json``.

    Returns:
        The result in one sentence, for the log.

    Raises:
        Inconsistent: A file is missing or is not a dataset.
        WorkspaceUnavailable: The disk is full, read-only or does not respond.
    """
    past = run_before(read_history(workspace.history), manifest.run_id, manifest.logical_date)
    workspace.comparison.unlink(missing_ok=True)
    if past is None:
        return _NOTHING
    path = workspace.sibling(past.run_id).table(pipeline.dataset)
    if not path.exists():
        return _NOTHING
    comparison = compare(
        workspace.table(pipeline.dataset),
        path,
        pipeline,
        workspace.spill,
        previous=past.run_id,
        previous_date=past.logical_date,
    )
    if comparison is None:
        return (
            f"The dataset of {past.run_id} has no column of the key ({', '.join(pipeline.key)}): it "
            "is not compared."
        )
    write_json(workspace.comparison, comparison.as_json())
    others = [*comparison.added, *comparison.removed, *comparison.retyped]
    return (
        f"Since {past.run_id}: {comparison.new.count} rows are new, {comparison.gone.count} are "
        f"gone, {comparison.changed} have changed, {comparison.unchanged} have not."
        + (" A key occurs more than once." if comparison.repeated else "")
        + (f" Not compared, because not in both: {', '.join(others)}." if others else "")
    )


def compare(  # noqa: PLR0913 - the two runs
    dataset: Path,
    before: Path,
    pipeline: Pipeline,
    spill: Path,
    *,
    previous: str,
    previous_date: str,
) -> Comparison | None:
    """Compare a dataset (Parquet file) with that of the run ``previous``.

    Returns:
        The comparison, or None if a dataset lacks a column of the key.

    Raises:
        Inconsistent: A file is missing or is not a dataset.
        WorkspaceUnavailable: The disk is full, read-only or does not respond.
    """
    files = {
        "now": (dataset, "Clear `consolidate` with its downstream tasks."),
        "old": (before, f"Clear `consolidate` of the run {previous}, which wrote it."),
    }
    paths = {name: path for name, (path, _) in files.items()}
    for path, remedy in files.values():
        with _readable(path, remedy), pq.ParquetFile(path):
            pass
    with (
        open_tables(paths, spill) as connection,
        query_errors("Comparison with the previous run"),
    ):
        columns = _columns(connection, pipeline)
        if columns is None:
            return None
        for name, (path, remedy) in files.items():
            with _readable(path, remedy):
                connection.execute(_digests(name, columns), [str(path)])
        repeated = any(connection.execute(_repeated(name, columns)).fetchone() for name in files)
        if repeated:
            for name in files:
                connection.execute(_numbered(name, columns))
        connection.execute(_pairs(columns))
        counts = dict(
            connection.execute("SELECT state, count(*) FROM pair GROUP BY state").fetchall()
        )
        rows = connection.execute("SELECT count(*) FROM now_rows").fetchone()
        examples = {
            state: connection.execute(
                _examples(columns, order),
                {"now": str(dataset), "old": str(before), "state": state},
            ).fetchall()
            for state, order in _ORDER.items()
        }
    new, gone, changed = (counts.get(state, 0) for state in _ORDER)
    return Comparison(
        previous=previous,
        previous_date=previous_date,
        key=columns.key,
        measure=columns.measure,
        new=_side(new, examples["new"]),
        gone=_side(gone, examples["gone"]),
        changed=changed,
        unchanged=(rows[0] if rows else 0) - new - changed,
        changes=tuple(_change(columns, row) for row in examples["changed"]),
        repeated=repeated,
        added=columns.added,
        removed=columns.removed,
        retyped=columns.retyped,
    )


def _side(count: int, rows: list[Any]) -> Side:
    return Side(count, tuple(Example(tuple(key), label) for key, label, *_ in rows))


def _change(columns: _Columns, row: Any) -> Change:
    key, label, before, after, differs = row
    changed = [name for name, is_so in zip(columns.compared, differs, strict=True) if is_so]
    return Change(tuple(key), label, _number(before), _number(after), tuple(changed))


def _number(value: Any) -> float | None:
    """Return a measure as a number that JSON can hold."""
    if value is None or isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None


@contextmanager
def _readable(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, OSError, ValueError) as error:
        if isinstance(error, duckdb.OutOfMemoryException) or "write" in str(error):
            raise  # not the dataset: the spill folder
        raise Inconsistent(f"Cannot read the dataset {path} ({error}). {remedy}") from error


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of the two datasets.

    ``as_text`` are compared as text: those of the key with another type now, and nested ones, because
    DuckDB's digests of null, ``[]`` and ``[null]`` are the same. ``labels`` are the tables with the
    ``label``.
    """

    key: tuple[str, ...]
    as_text: tuple[str, ...]
    compared: tuple[str, ...]
    measure: str
    label: str
    labels: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: tuple[str, ...]

    @property
    def numbered(self) -> list[str]:
        """Names of the key's columns in ``now_rows``, ``old_rows`` and ``pair``."""
        return [f"k{place}" for place in range(len(self.key))]


def _columns(connection: duckdb.DuckDBPyConnection, pipeline: Pipeline) -> _Columns | None:
    """Return the columns, or None if a dataset lacks a column of the key."""
    now, old = (
        dict(zip(view.columns, view.types, strict=True))
        for view in (connection.table("now"), connection.table("old"))
    )
    if not set(pipeline.key) <= now.keys() & old.keys():
        return None
    ignored = {AS_OF, *pipeline.key, *pipeline.not_compared}
    both = [name for name in now if name in old and name not in ignored]
    is_number = all(
        pipeline.measure in side and side[pipeline.measure].id in _NUMBERS for side in (now, old)
    )
    return _Columns(
        key=pipeline.key,
        as_text=(
            *(name for name in pipeline.key if now[name] != old[name]),
            *(name for name in both if now[name].id in _NESTED),
        ),
        compared=tuple(name for name in both if now[name] == old[name]),
        measure=pipeline.measure if is_number else "",
        label=pipeline.label,
        labels=tuple(name for name, side in (("now", now), ("old", old)) if pipeline.label in side),
        added=tuple(name for name in now if name not in old),
        removed=tuple(name for name in old if name not in now),
        retyped=tuple(name for name in both if now[name] != old[name]),
    )


def _digests(name: str, columns: _Columns) -> str:
    """Return the statement that makes ``now_rows`` or ``old_rows``, in the order of the file."""

    def column(name: str) -> str:
        return f"file.{quoted(name)}{'::VARCHAR' if name in columns.as_text else ''}"

    keys = ", ".join(
        f"{column(key)} AS {k}" for key, k in zip(columns.key, columns.numbered, strict=True)
    )
    compared = ", ".join(map(column, columns.compared)) or "0"
    measure = f"file.{quoted(columns.measure)}" if columns.measure else "NULL::BIGINT"
    return (
        f"CREATE TEMP TABLE {name}_rows AS SELECT {keys}, 1 AS number, hash({compared}) AS digest, "
        f"{measure} AS measure, file.file_row_number AS place "
        "FROM read_parquet(?, file_row_number=true) AS file"
    )


def _repeated(name: str, columns: _Columns) -> str:
    keys = ", ".join(columns.numbered)
    return f"SELECT 1 FROM {name}_rows GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"


def _numbered(name: str, columns: _Columns) -> str:
    """Return the statement that numbers the rows with equal keys, in the order of the file."""
    number = f"row_number() OVER (PARTITION BY {', '.join(columns.numbered)} ORDER BY place)"
    return (
        f"CREATE OR REPLACE TEMP TABLE {name}_rows AS "
        f"SELECT * REPLACE ({number} AS number) FROM {name}_rows"
    )


def _pairs(columns: _Columns) -> str:
    """Return the statement that makes ``pair``: the rows that are not equal in both."""
    keys = ", ".join(f"coalesce(now.{k}, old.{k}) AS {k}" for k in columns.numbered)
    same = " AND ".join(f"now.{k} IS NOT DISTINCT FROM old.{k}" for k in columns.numbered)
    return (
        f"CREATE TEMP TABLE pair AS SELECT {keys}, coalesce(now.number, old.number) AS number, "
        "now.place AS now_place, old.place AS old_place, old.measure AS before, "
        "now.measure AS after, CASE WHEN old.place IS NULL THEN 'new' WHEN now.place IS NULL THEN "
        "'gone' ELSE 'changed' END AS state "
        f"FROM now_rows AS now FULL JOIN old_rows AS old ON {same} AND now.number = old.number "
        "WHERE now.digest IS DISTINCT FROM old.digest"
    )


def _examples(columns: _Columns, order: str) -> str:
    """Return the query of the first rows of a state: key, label, before, after, what differs.

    Its parameters are the two files and the state.
    """
    order = f"{order}, {', '.join(f'{k} NULLS FIRST' for k in columns.numbered)}, number"
    keys = ", ".join(_text(f"top.{k}") for k in columns.numbered)
    now_label, old_label = (
        _text(f"{name}.{quoted(columns.label)}") if name in columns.labels else "NULL"
        for name in ("now", "old")
    )
    differs = ", ".join(
        f"now.{quoted(name)} IS DISTINCT FROM old.{quoted(name)}" for name in columns.compared
    )
    return (
        "WITH top AS (SELECT *, row_number() OVER () AS rank FROM "
        f"(FROM pair WHERE state = $state ORDER BY {order} LIMIT {SHOWN})), "
        f"now AS ({_rows('now')}), old AS ({_rows('old')}) "
        f"SELECT [{keys}], if(top.now_place IS NULL, {old_label}, {now_label}), "
        f"top.before, top.after, [{differs}] "
        "FROM top LEFT JOIN now ON now.file_row_number = top.now_place "
        "LEFT JOIN old ON old.file_row_number = top.old_place ORDER BY top.rank"
    )


def _rows(name: str) -> str:
    """Return the query of the examples' rows in a file."""
    return (
        f"FROM read_parquet(${name}, file_row_number=true) "
        f"WHERE file_row_number IN (SELECT {name}_place FROM top)"
    )


def _text(expression: str) -> str:
    return f"left(CAST({expression} AS VARCHAR), {VALUE_LIMIT})"
