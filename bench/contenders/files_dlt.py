"""dlt: the filesystem source with a frozen schema, Parquet into DuckDB, the folds in SQL.

It reads with ``read_csv_duckdb`` and Arrow, dlt's fastest reader. ``DLT_DATA_DIR`` is its working folder.
"""

from __future__ import annotations

import os
from typing import Any

import dlt
import duckdb
import order_lines as work
from dlt.sources.credentials import AwsCredentials
from dlt.sources.filesystem import filesystem, read_csv_duckdb

TYPES = {"BIGINT": "bigint", "DOUBLE": "double", "VARCHAR": "text", "DATE": "date"}


def checked(lines: Any) -> Any:
    """Return the rows of an Arrow table that obey the contract."""
    with duckdb.connect(config={"threads": 1}) as connection:
        return connection.from_arrow(lines).filter(work.CONTRACT).to_arrow_table()


def main() -> None:
    """Extract, normalize, load, fold, upload."""
    given = work.arguments()
    database = str(given.folder / "lines.duckdb")
    dlt.config["runtime.dlthub_telemetry"] = False
    dlt.config["normalize.workers"] = dlt.config["load.workers"] = 2  # for speed
    credentials = AwsCredentials(
        aws_access_key_id=os.environ["BENCH_S3_KEY"],
        aws_secret_access_key=os.environ["BENCH_S3_SECRET"],
        endpoint_url=os.environ["BENCH_S3"],
        region_name="us-east-1",
    )
    files = filesystem(f"s3://{work.BUCKET}/{given.source}", credentials, file_glob="*.csv")
    reader = read_csv_duckdb(chunk_size=100_000, use_pyarrow=True, header=True, dtype=work.COLUMNS)
    lines: Any = (files | reader).add_map(checked).with_name("lineitem")
    lines.apply_hints(
        columns={name: {"data_type": TYPES[kind]} for name, kind in work.COLUMNS.items()},
        schema_contract={"columns": "freeze", "data_type": "freeze"},
    )
    destination = dlt.destinations.duckdb(database)
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench")
    loaded = pipeline.run(lines, loader_file_format="parquet", write_disposition="replace")
    loaded.raise_on_failed_jobs()
    with duckdb.connect(database, config={"threads": 2}) as connection:
        work.copy_results(connection, "bench.lineitem", given.folder / "results")
    work.publish(work.s3(), given.folder / "results", given.target)


if __name__ == "__main__":
    main()
