"""Columns of a dataset or fold: nulls, distinct values, smallest, largest, and their distribution.

DuckDB reads one column at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from fanfold.queries.dataset import ColumnProfile, Distribution, Frequency, columns_of, readable
from fanfold.queries.engine import NESTED, NUMBERS, opened
from fanfold.queries.values import json_value
from fanfold.workspace.sql import query_errors, quoted

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

MANY = 10_000
"""Distinct values, above which they are estimated."""
SHOWN = 5
"""Most frequent values that are returned."""
BINS = 16
_WIDE = 100
"""How many times the median the largest value is, above which bins are logarithmic."""
_WHAT = "Columns of a table"
_TIMES = {"date", "timestamp", "timestamp with time zone"}


def profile_columns(path: Path, spill: Path) -> tuple[ColumnProfile, ...]:
    """Return the columns of a Parquet file, in order.

    Raises:
        BadPipeline: The queries take too much memory or time.
        Inconsistent: The file is missing or damaged.
        WorkspaceUnavailable: The spill folder cannot be written.
    """
    with readable(path), pq.ParquetFile(path) as file:
        columns = columns_of(file)
    with opened({"rows": path}, spill) as connection, query_errors(_WHAT):
        view = connection.table("rows")
        kinds = {name: kind.id for name, kind in zip(view.columns, view.types, strict=True)}
        return tuple(
            ColumnProfile(
                each.name,
                each.type,
                each.nulls,
                each.null_share,
                **_profile(connection, quoted(each.name), kinds[each.name]),
            )
            for each in columns
        )


def _profile(connection: duckdb.DuckDBPyConnection, name: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(
        ("distinct", "smallest", "largest", "mean", "median", "distribution")
    )
    found |= {"estimated": False, "frequent": ()}
    if kind in NESTED:
        return found
    numeric = kind in NUMBERS
    scale = f"{name}::DOUBLE" if numeric else f"epoch({name})" if kind in _TIMES else "NULL::DOUBLE"
    finite = f"CASE WHEN isfinite({scale}) THEN {scale} END"
    # DuckDB orders NaN above all numbers.
    own = f"CASE WHEN isfinite({name}) THEN {name} END" if kind in {"float", "double"} else name
    [row] = _rows(
        connection,
        f"SELECT least(approx_count_distinct({name}), count({name})) AS n, min({own}) AS low, "
        f"max({own}) AS high, "
        f"avg({finite}) AS mean, approx_quantile({finite}, 0.5) AS median, min({finite}) AS first, "
        f"max({finite}) AS last FROM rows",
    )
    found |= {
        "distinct": row["n"],
        "smallest": json_value(row["low"]),
        "largest": json_value(row["high"]),
    }
    found["estimated"] = row["n"] > MANY
    if not found["estimated"]:
        frequent = _rows(
            connection,
            f"SELECT *, count(*) OVER () AS n FROM (SELECT {name} AS value, count(*) AS count "
            f"FROM rows WHERE {name} IS NOT NULL GROUP BY ALL) ORDER BY count DESC, value LIMIT {SHOWN}",
        )
        found["distinct"] = frequent[0]["n"] if frequent else 0
        if scale.startswith("NULL") and frequent and frequent[0]["count"] > 1:
            found["frequent"] = tuple(
                Frequency(json_value(each["value"]), each["count"]) for each in frequent
            )
    if numeric:
        found |= {"mean": row["mean"], "median": row["median"]}
    if row["first"] is not None and row["first"] < row["last"]:
        wide = numeric and row["first"] >= 0 and row["last"] > _WIDE * max(row["median"], 1)
        found["distribution"] = _distribution(connection, finite, kind, row, wide=wide)
    return found


def _distribution(
    connection: duckdb.DuckDBPyConnection,
    finite: str,
    kind: str,
    row: dict[str, Any],
    *,
    wide: bool,
) -> Distribution:
    """Count rows in bins of equal width, of the value's logarithm if the values are ``wide``."""
    there, back = ("ln(1 + {})", "exp({}) - 1") if wide else ("{}", "{}")
    back = f"make_timestamptz((({back}) * 1000000)::BIGINT)" if kind in _TIMES else back
    first, last = (there.format(f"{row[name]!r}::DOUBLE") for name in ("first", "last"))
    width = f"(({last}) - ({first})) / {BINS}"
    place = f"least(floor(({there.format(finite)} - ({first})) / ({width}))::INTEGER, {BINS - 1})"
    counts = {
        each["place"]: each["n"]
        for each in _rows(
            connection,
            f"SELECT {place} AS place, count(*) AS n FROM rows WHERE {finite} IS NOT NULL GROUP BY place",
        )
    }
    edges = _rows(
        connection,
        f"SELECT {back.format(f'({first}) + range * {width}')} AS edge FROM range({BINS + 1})",
    )
    return Distribution(
        tuple(json_value(each["edge"]) for each in edges),
        tuple(counts.get(each, 0) for each in range(BINS)),
    )


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    # Through Arrow, as all values of the page: DuckDB's own times need another library.
    found: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return found
