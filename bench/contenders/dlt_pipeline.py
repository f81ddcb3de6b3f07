"""dlt: a parallelized transformer over the users, and Parquet on an S3 server.

    python dlt_pipeline.py --first 2000000000 --items 10000 --in-flight 16 --bucket BUCKET --dataset D

Variables: ``BENCH_URL``, ``BENCH_TOKEN``, ``BENCH_S3``, ``BENCH_S3_KEY``, ``BENCH_S3_SECRET``, and
``DLT_DATA_DIR``, its working folder.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

import dlt
import plain
import script
from dlt.destinations import filesystem
from dlt.sources.credentials import AwsCredentials

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    """Extract, normalize and load."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--dataset", required=True)
    given = parser.parse_args()
    dlt.config["extract.workers"] = given.in_flight
    dlt.config["extract.max_parallel_items"] = 2 * given.in_flight
    dlt.config["runtime.dlthub_telemetry"] = False
    # For speed: one file for each core, normalized in parallel.
    cores = os.cpu_count() or 1
    dlt.config["normalize.workers"] = cores
    dlt.config["sources.data_writer.file_max_items"] = -(-given.items // cores)

    @dlt.resource(name="addresses")
    def addresses() -> Iterator[str]:
        yield from script.addresses(given.first, given.items)

    # Lists become columns, not child tables: the other contenders write one table too.
    @dlt.transformer(data_from=addresses, name="users", parallelized=True, max_table_nesting=0)
    def users(url: str) -> Any:
        return plain.get(url)

    storage = filesystem(
        f"s3://{given.bucket}",
        AwsCredentials(
            aws_access_key_id=os.environ["BENCH_S3_KEY"],
            aws_secret_access_key=os.environ["BENCH_S3_SECRET"],
            endpoint_url=os.environ["BENCH_S3"],
            region_name="us-east-1",
        ),
    )
    pipeline = dlt.pipeline("bench", destination=storage, dataset_name=given.dataset)
    loaded = pipeline.run(users, loader_file_format="parquet", write_disposition="replace")
    loaded.raise_on_failed_jobs()


if __name__ == "__main__":
    main()
