"""Rows of a dataset or fold, sorted and filtered over all rows by DuckDB.

A client chooses among the columns of the file and the operators of :class:`Operator`; its values are
parameters. No text of a client becomes SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from fanfold.errors import BadInput
from fanfold.queries.dataset import DatasetPage, json_rows, readable, rows_of
from fanfold.queries.engine import PLACE, opened
from fanfold.workspace.sql import query_errors, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import duckdb

_WHAT = "Rows of a table"


class Operator(StrEnum):
    """How a filter compares a column with its value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    CONTAINS = "contains"
    IS_NULL = "null"
    IS_NOT_NULL = "not null"


@dataclass(frozen=True, slots=True)
class Filter:
    """Rows whose ``column`` compares with ``value``; an empty ``column`` is any column.

    ``contains`` compares texts without case; the others compare values of the column's type. A null
    fits none but ``null`` and ``!=``.
    """

    column: str
    operator: Operator
    value: str = ""


def select_rows(  # noqa: PLR0913 - what a client chooses
    table: str,
    path: Path,
    spill: Path,
    *,
    offset: int,
    limit: int,
    sort: str | None = None,
    descending: bool = False,
    filters: Sequence[Filter] = (),
) -> DatasetPage:
    """Return a page of the rows that fit all filters, in the order of a column, nulls last.

    Rows with equal values are in the order of the file.

    Raises:
        BadInput: There is no such column, or a value does not have its type.
        BadPipeline: The query takes too much memory or time.
        Inconsistent: The file is missing or damaged.
        WorkspaceUnavailable: The spill folder cannot be written.
    """
    # Without rows: the columns, and the errors of a damaged file.
    page = rows_of(table, path, offset=offset, limit=0)
    with opened({"rows": path}, spill) as connection, query_errors(_WHAT):
        types = dict(
            zip(connection.table("rows").columns, connection.table("rows").types, strict=True)
        )
        types.pop(PLACE)
        conditions, values = [], []
        for each in filters:
            condition, value = _condition(connection, types, each)
            conditions.append(condition)
            values += value
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        order = PLACE
        if sort is not None:
            _known(types, sort)
            order = f"{quoted(sort)} {'DESC' if descending else 'ASC'} NULLS LAST, {PLACE}"
        (matched,) = connection.execute(f"SELECT count(*) FROM rows {where}", values).fetchall()[0]
        # Only the places first: the rows of a page are few, and their columns many.
        places = connection.execute(
            f"SELECT {PLACE} FROM rows {where} ORDER BY {order} LIMIT {limit} OFFSET {offset}",
            values,
        ).fetchall()
    with readable(path), pq.ParquetFile(path) as file:
        return replace(page, matched=matched, page=json_rows(file, [place for (place,) in places]))


def _known(types: Mapping[str, object], column: str) -> None:
    if column not in types:
        raise BadInput(f"There is no column {column[:100]!r}.")


def _condition(
    connection: duckdb.DuckDBPyConnection, types: Mapping[str, object], given: Filter
) -> tuple[str, list[str]]:
    """Return the SQL of a filter, and its parameters."""
    if given.operator is Operator.CONTAINS:
        columns = [given.column] if given.column else list(types)
        for column in columns:
            _known(types, column)
        texts = [f"contains(lower(CAST({quoted(name)} AS VARCHAR)), lower(?))" for name in columns]
        return f"({' OR '.join(texts)})", [given.value] * len(columns)
    _known(types, given.column)
    name = quoted(given.column)
    if given.operator is Operator.IS_NULL:
        return f"{name} IS NULL", []
    if given.operator is Operator.IS_NOT_NULL:
        return f"{name} IS NOT NULL", []
    cast = f"TRY_CAST(? AS {types[given.column]})"
    if connection.execute(f"SELECT {cast} IS NULL", [given.value]).fetchall() == [(True,)]:
        raise BadInput(f"{given.value[:100]!r} is not a value of the type {types[given.column]}.")
    operator = given.operator
    if operator is Operator.NOT_EQUAL:
        return f"{name} IS DISTINCT FROM {cast}", [given.value]
    return f"{name} {operator} {cast}", [given.value]
