"""The statements of a comparison; names are quoted, and no value of a client is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanfold.workspace.paths import FAILED, MISSING
from fanfold.workspace.sql import quoted, text

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.workspace.paths import Workspace

SHOWN = 20
"""Maximum number of examples of each kind."""
VALUE_LIMIT = 500
"""Maximum length of a value in characters."""
RANGE = 50_000
"""Rows of a file that are looked up in full together."""
EDGES = (-0.5, -0.2, -0.1, -0.05, -0.01, 0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares between the bins of a histogram."""

_SHARE = "CASE WHEN before <> 0 THEN (after::DOUBLE - before::DOUBLE) / abs(before::DOUBLE) END"
_SIZE = "CASE WHEN isfinite({0}) THEN {0} END DESC NULLS LAST"
_ORDER = {
    "new": _SIZE.format("after::DOUBLE"),
    "gone": _SIZE.format("before::DOUBLE"),
    "changed": "before IS NOT DISTINCT FROM after, "
    + _SIZE.format("nullif(abs(after::DOUBLE - before::DOUBLE), 0)"),
}
"""The order of the examples, before their key."""
PLACES = "SELECT coalesce(max(greatest(now_place, old_place)), -1) + 1 FROM pair"
COUNTS = "SELECT state, count(*) FROM pair GROUP BY state"
OUTCOMES = (
    "SELECT outcome, count(*) FROM pair WHERE state = ? AND outcome IS NOT NULL "
    "GROUP BY outcome ORDER BY outcome"
)
HISTOGRAM = (
    f"WITH shares AS (SELECT {_SHARE} AS share FROM pair "
    "WHERE state = 'changed' AND before IS DISTINCT FROM after) "
    "SELECT CASE WHEN isfinite(share) THEN "
    + " + ".join(f"(share {'>' if edge >= 0 else '>='} {edge})::INTEGER" for edge in EDGES)
    + " END AS bin, count(*) FROM shares GROUP BY bin"
)
"""Rows by the number of edges below their share; null: it has none."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of the two datasets.

    ``as_text`` are compared as text: those of the key with another type now, and nested ones, because
    DuckDB's digests of null, ``[]`` and ``[null]`` are the same. ``item`` holds the item's key, if it is
    known. ``labels`` are the tables with the ``label``.
    """

    key: tuple[str, ...]
    as_text: tuple[str, ...]
    compared: tuple[str, ...]
    numeric: tuple[str, ...]
    column: str
    item: str | None
    label: str
    labels: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: tuple[str, ...]

    @property
    def numbered(self) -> list[str]:
        """Names of the key's columns in ``now_rows``, ``old_rows`` and ``pair``."""
        return [f"k{place}" for place in range(len(self.key))]


def digests(name: str, columns: Columns) -> str:
    """Return the statement that makes ``now_rows`` or ``old_rows``, in the order of the file."""

    def column(name: str) -> str:
        return f"{quoted(name)}{'::VARCHAR' if name in columns.as_text else ''}"

    keys = ", ".join(
        f"{column(key)} AS {k}" for key, k in zip(columns.key, columns.numbered, strict=True)
    )
    compared = ", ".join(map(column, columns.compared)) or "0"
    value = quoted(columns.column) if columns.column else "NULL::BIGINT"
    item = f"{quoted(columns.item)}::VARCHAR" if columns.item else "NULL::VARCHAR"
    return (
        f"CREATE TEMP TABLE {name}_rows AS SELECT {keys}, 1 AS number, hash({compared}) AS digest, "
        f"{value} AS value, {item} AS item, file_row_number AS place FROM {name}"
    )


def repeated(name: str, columns: Columns) -> str:
    """Return the query that has a row if a key occurs more than once."""
    keys = ", ".join(columns.numbered)
    return f"SELECT 1 FROM {name}_rows GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"


def numbered(name: str, columns: Columns) -> str:
    """Return the statement that numbers the rows with equal keys, in the order of the file."""
    number = f"row_number() OVER (PARTITION BY {', '.join(columns.numbered)} ORDER BY place)"
    return (
        f"CREATE OR REPLACE TEMP TABLE {name}_rows AS "
        f"SELECT * REPLACE ({number} AS number) FROM {name}_rows"
    )


def pairs(columns: Columns) -> str:
    """Return the statement that makes ``pair``: the rows that are not equal in both."""
    keys = ", ".join(f"coalesce(now.{k}, old.{k}) AS {k}" for k in columns.numbered)
    same = " AND ".join(f"now.{k} IS NOT DISTINCT FROM old.{k}" for k in columns.numbered)
    one = "now.place IS NULL OR old.place IS NULL"
    outcome = f"CASE WHEN {one} THEN 'unlisted' END" if columns.item else "NULL::VARCHAR"
    return (
        f"CREATE TEMP TABLE pair AS SELECT {keys}, coalesce(now.number, old.number) AS number, "
        "now.place AS now_place, old.place AS old_place, old.value AS before, now.value AS after, "
        "CASE WHEN old.place IS NULL THEN 'new' WHEN now.place IS NULL THEN 'gone' "
        f"ELSE 'changed' END AS state, CASE WHEN {one} THEN coalesce(now.item, old.item) END AS item, "
        f"{outcome} AS outcome "
        f"FROM now_rows AS now FULL JOIN old_rows AS old ON {same} AND now.number = old.number "
        "WHERE now.digest IS DISTINCT FROM old.digest"
    )


def set_outcomes(state: str, run: Workspace) -> str | None:
    """Return the statement that sets the outcomes of rows by the items of a run; None without a list."""
    lists = sorted(run.keys.parent.glob("[0-9]*[0-9].jsonl"))
    not_ok = [path for path in (run.dataset / FAILED, run.dataset / MISSING) if path.exists()]
    if not lists or not not_ok:
        return None
    # A key with half of a surrogate pair is in no dataset.
    options = "format='newline_delimited', ignore_errors=true"
    items = f"read_json({_files(lists)}, records=false, columns={{'key': 'VARCHAR'}}, {options})"
    outcomes = (
        f"read_json({_files(not_ok)}, columns={{'key': 'VARCHAR', 'status': 'VARCHAR'}}, {options})"
    )
    known = (
        f"SELECT items.key, outcomes.status FROM {items} AS items "
        f"LEFT JOIN {outcomes} AS outcomes ON items.key = outcomes.key"
    )
    return (
        f"UPDATE pair SET outcome = coalesce(known.status, 'ok') FROM ({known}) AS known "
        f"WHERE pair.state = '{state}' AND pair.item = known.key"
    )


def _files(paths: list[Path]) -> str:
    return f"[{', '.join(map(text, paths))}]"


def examples(columns: Columns, state: str) -> str:
    """Return the query of the first rows of a state: key, label, outcome, before, after, what differs."""
    order = f"{_ORDER[state]}, {', '.join(f'{k} NULLS FIRST' for k in columns.numbered)}, number"
    differs = ", ".join(_differs(columns))
    keys = ", ".join(_short(f"top.{k}") for k in columns.numbered)
    return (
        "WITH top AS (SELECT *, row_number() OVER () AS rank FROM "
        f"(FROM pair WHERE state = '{state}' ORDER BY {order} LIMIT {SHOWN})), "
        f"now_top AS ({_rows('now')}), old_top AS ({_rows('old')}) "
        f"SELECT [{keys}], {_short(_label(columns))}, top.outcome, top.before, top.after, [{differs}] "
        "FROM top LEFT JOIN now_top ON now_top.file_row_number = top.now_place "
        "LEFT JOIN old_top ON old_top.file_row_number = top.old_place ORDER BY top.rank"
    )


def differences(columns: Columns) -> str:
    """Return the query of the rows of ``pair`` with a state and a place in a range, in their order.

    Its parameters are the state, and the first place of the range and of the next one.
    """
    keys = "".join(
        f"top.{k} AS {quoted(name)}, "
        for name, k in zip(columns.key, columns.numbered, strict=True)
    )
    changed = ", ".join(
        f"CASE WHEN {differs} THEN {text(name)} END"
        for name, differs in zip(columns.compared, _differs(columns), strict=True)
    )
    changed = f"CASE WHEN state = 'changed' THEN concat_ws(' ', {changed or 'NULL'}) END"
    numbers = (
        f"before, after, after::DOUBLE - before::DOUBLE AS difference, {_SHARE} AS share, "
        if columns.column
        else ""
    )
    return (
        "WITH top AS (SELECT *, coalesce(now_place, old_place) AS place FROM pair "
        "WHERE state = $1 AND place >= $2 AND place < $3), "
        f"now_top AS ({_rows('now')}), old_top AS ({_rows('old')}) "
        f"SELECT state AS change, {keys}{_label(columns)} AS label, outcome, {numbers}{changed} AS columns "
        "FROM top LEFT JOIN now_top ON now_top.file_row_number = top.now_place "
        "LEFT JOIN old_top ON old_top.file_row_number = top.old_place ORDER BY place"
    )


def _label(columns: Columns) -> str:
    now_label, old_label = (
        f"{name}_top.{quoted(columns.label)}::VARCHAR" if name in columns.labels else "NULL"
        for name in ("now", "old")
    )
    return f"if(top.now_place IS NULL, {old_label}, {now_label})"


def _differs(columns: Columns) -> list[str]:
    return [
        f"now_top.{quoted(name)} IS DISTINCT FROM old_top.{quoted(name)}"
        for name in columns.compared
    ]


def _rows(name: str) -> str:
    """Return the query of the examples' rows in a table."""
    return f"FROM {name} WHERE file_row_number IN (SELECT {name}_place FROM top)"


def _short(expression: str) -> str:
    return f"left(CAST({expression} AS VARCHAR), {VALUE_LIMIT})"
