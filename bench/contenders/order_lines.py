"""The work of the section *files*, and what all contenders but Fanfold share: bucket and command line.

Order lines in CSV files under a prefix → the lines that obey the contract, in the order of the files,
and two folds, each as Parquet and CSV with gzip under another prefix.

    python files_duckdb.py --source lineitem/1/ --target out/duckdb/ --folder /tmp/work

Variables: ``BENCH_S3``, ``BENCH_S3_KEY``, ``BENCH_S3_SECRET``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

BUCKET = "fanfold"
COLUMNS = {
    **dict.fromkeys(
        ("l_orderkey", "l_partkey", "l_suppkey", "l_linenumber", "l_quantity"), "BIGINT"
    ),
    **dict.fromkeys(("l_extendedprice", "l_discount", "l_tax"), "DOUBLE"),
    **dict.fromkeys(("l_returnflag", "l_linestatus"), "VARCHAR"),
    **dict.fromkeys(("l_shipdate", "l_commitdate", "l_receiptdate"), "DATE"),
    **dict.fromkeys(("l_shipinstruct", "l_shipmode", "l_comment"), "VARCHAR"),
}
RANGES = {
    "l_linenumber": (1, 7),
    "l_quantity": (1, 50),
    "l_extendedprice": (0, 1_000_000),
    "l_discount": (0, 0.1),
    "l_tax": (0, 0.08),
}
VALUES = {"l_returnflag": ["A", "N", "R"], "l_linestatus": ["F", "O"]}
CONTRACT = " AND ".join(
    [f"{name} IS NOT NULL" for name in COLUMNS if name not in {*RANGES, *VALUES}]
    + [f"{name} BETWEEN {low} AND {high}" for name, (low, high) in RANGES.items()]
    + [f"{name} IN ({str(values)[1:-1]})" for name, values in VALUES.items()]
)
"""The contract of the pipeline ``lineitem`` as a condition in SQL."""
_TOTALS = """count(*) AS lines, sum(l_quantity)::BIGINT AS quantity,
    sum(l_extendedprice * (1 - l_discount)) AS revenue"""
FOLDS = {
    "revenue_by_day": (("l_shipdate", "l_returnflag"), _TOTALS),
    "revenue_by_supplier": (("l_suppkey",), _TOTALS),
}
"""Name → key, and the columns computed for each."""


def query(fold: str) -> str:
    """Return the SQL of a fold over ``dataset``."""
    key, totals = FOLDS[fold]
    names = ", ".join(key)
    return f"SELECT {names}, {totals} FROM dataset GROUP BY {names} ORDER BY {names}"  # noqa: S608


def arguments() -> Any:
    """Return source and target (prefixes in the bucket) and folder, with a folder ``results`` in it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    (given.folder / "results").mkdir(parents=True)
    return given


def s3() -> Any:
    """Return a client."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=os.environ["BENCH_S3"],
        aws_access_key_id=os.environ["BENCH_S3_KEY"],
        aws_secret_access_key=os.environ["BENCH_S3_SECRET"],
        region_name="us-east-1",
    )


def keys(client: Any, prefix: str) -> list[str]:
    """Return the keys under a prefix, sorted."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return sorted(each["Key"] for page in pages for each in page.get("Contents", []))


def copy_results(connection: Any, lines: str, folder: Path) -> None:
    """Write the lines and the folds as Parquet and as CSV with gzip, with DuckDB."""
    for name, sql in {"lineitem": f"FROM {lines}", **{fold: query(fold) for fold in FOLDS}}.items():
        path = folder / name
        connection.execute(f"COPY ({sql}) TO '{path}.parquet' (COMPRESSION zstd)")
        connection.execute(f"COPY (FROM '{path}.parquet') TO '{path}.csv.gz' (HEADER)")
        connection.execute(f"CREATE OR REPLACE VIEW dataset AS FROM '{folder}/lineitem.parquet'")


def publish(client: Any, folder: Path, target: str) -> None:
    """Upload the files of a folder."""
    for path in folder.iterdir():
        client.upload_file(str(path), BUCKET, f"{target}{path.name}")
