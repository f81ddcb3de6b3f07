"""DuckDB alone in two threads: download, ``read_csv``, two folds. The lower limit of the time.

Files come by boto3: DuckDB's own S3 client is an extension that it downloads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import duckdb
import order_lines as work


def main() -> None:
    """Download, convert, fold, upload."""
    given, client = work.arguments(), work.s3()
    names = work.keys(client, given.source)
    files = [str(given.folder / name.rpartition("/")[2]) for name in names]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda *pair: client.download_file(work.BUCKET, *pair), names, files))
    read = f"read_csv({files}, header = true, columns = {work.COLUMNS})"
    with duckdb.connect(config={"threads": 2}) as connection:
        work.copy_results(connection, f"{read} WHERE {work.CONTRACT}", given.folder / "results")
    work.publish(client, given.folder / "results", given.target)


if __name__ == "__main__":
    main()
