"""DuckDB alone in two threads: download, ``read_csv``, two folds. The lower limit of the time.

Files come by boto3: DuckDB's own S3 client is an extension that it downloads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import duckdb
from order_lines import (
    BUCKET,
    COLUMNS,
    CONTRACT,
    FOLDS,
    arguments,
    copy_as_files,
    keys,
    publish,
    query,
    s3,
)


def main() -> None:
    """Download, convert, fold, upload."""
    given, client = arguments(), s3()
    files, results = given.folder / "files", given.folder / "results"
    files.mkdir()
    results.mkdir()
    found = {key: str(files / key.rpartition("/")[2]) for key in keys(client, given.source)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: client.download_file(BUCKET, key, found[key]), found))
    with duckdb.connect(config={"threads": 2}) as connection:
        read = f"read_csv({list(found.values())}, header = true, columns = {COLUMNS})"
        dataset = results / "lineitem"
        copy_as_files(connection, f"FROM {read} WHERE {CONTRACT}", dataset)
        connection.execute(f"CREATE VIEW dataset AS FROM '{dataset}.parquet'")
        for name in FOLDS:
            copy_as_files(connection, query(name), results / name)
    publish(client, results, given.target)


if __name__ == "__main__":
    main()
