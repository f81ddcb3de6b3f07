"""dlt: the filesystem source with a frozen schema, Parquet into DuckDB, the folds in SQL.

It reads by ``read_csv_duckdb`` with Arrow, dlt's fastest reader; with its own ``read_csv`` and a Pydantic
model for the contract it takes several times as long. ``DLT_DATA_DIR`` is its working folder.
"""

from __future__ import annotations

import os
from typing import Any

import dlt
import duckdb
from dlt.sources.credentials import AwsCredentials
from dlt.sources.filesystem import filesystem, read_csv_duckdb
from order_lines import (
    BUCKET,
    COLUMNS,
    CONTRACT,
    FOLDS,
    arguments,
    copy_as_files,
    publish,
    query,
    s3,
)

TYPES = {"BIGINT": "bigint", "DOUBLE": "double", "VARCHAR": "text", "DATE": "date"}


def main() -> None:
    """Extract, normalize, load, fold, upload."""
    given = arguments()
    results, database = given.folder / "results", str(given.folder / "lineitem.duckdb")
    results.mkdir()
    dlt.config["runtime.dlthub_telemetry"] = False
    # For speed: files for two loaders, and two of them.
    dlt.config["normalize.workers"] = dlt.config["load.workers"] = 2
    files = filesystem(
        f"s3://{BUCKET}/{given.source}",
        AwsCredentials(
            aws_access_key_id=os.environ["BENCH_S3_KEY"],
            aws_secret_access_key=os.environ["BENCH_S3_SECRET"],
            endpoint_url=os.environ["BENCH_S3"],
            region_name="us-east-1",
        ),
        file_glob="*.csv",
    )
    lines: Any = files | read_csv_duckdb(
        chunk_size=100_000, use_pyarrow=True, header=True, dtype=COLUMNS
    )
    lines = lines.add_map(checked).with_name("lineitem")
    lines.apply_hints(
        columns={name: {"data_type": TYPES[kind]} for name, kind in COLUMNS.items()},
        schema_contract={"columns": "freeze", "data_type": "freeze"},
    )
    destination = dlt.destinations.duckdb(database)
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench")
    loaded = pipeline.run(lines, loader_file_format="parquet", write_disposition="replace")
    loaded.raise_on_failed_jobs()
    with duckdb.connect(database, config={"threads": 2}) as connection:
        connection.execute("CREATE VIEW dataset AS FROM bench.lineitem")
        copy_as_files(connection, "FROM dataset", results / "lineitem")
        for name in FOLDS:
            copy_as_files(connection, query(name), results / name)
    publish(s3(), results, given.target)


def checked(lines: Any) -> Any:
    """Return the rows of an Arrow table that obey the contract."""
    with duckdb.connect(config={"threads": 1}) as connection:
        return connection.from_arrow(lines).filter(CONTRACT).to_arrow_table()


if __name__ == "__main__":
    main()
