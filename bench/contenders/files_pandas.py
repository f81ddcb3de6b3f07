"""A pandas script in two processes: each converts files one by one, the parent joins them."""

from __future__ import annotations

import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import order_lines as work
import pandas as pd
import pyarrow.parquet as pq

TYPES = {"BIGINT": "int64", "DOUBLE": "float64", "VARCHAR": "str"}
DATES = [name for name, kind in work.COLUMNS.items() if kind == "DATE"]


def convert(folder: Path, name: str) -> list[pd.DataFrame]:
    """Write the good rows of a file as Parquet and CSV; return their part of each fold."""
    types = {name: TYPES[kind] for name, kind in work.COLUMNS.items() if name not in DATES}
    body = work.s3().get_object(Bucket=work.BUCKET, Key=name)["Body"]
    frame = pd.read_csv(body, dtype=types, parse_dates=DATES)
    good = frame.notna().all(axis=1)
    for column, (low, high) in work.RANGES.items():
        good &= frame[column].between(low, high)
    for column, values in work.VALUES.items():
        good &= frame[column].isin(values)
    frame = frame[good]
    path = str(folder / Path(name).stem)
    frame.to_parquet(f"{path}.parquet", compression="zstd", index=False)
    # Level 6, as DuckDB's; the default of pandas is 9.
    gzip = {"method": "gzip", "compresslevel": 6}
    header = name.endswith("/001.csv")
    frame.to_csv(f"{path}.csv.gz", index=False, header=header, compression=gzip)
    frame["revenue"] = frame["l_extendedprice"] * (1 - frame["l_discount"])
    totals = {"lines": ("revenue", "size"), "quantity": ("l_quantity", "sum")}
    totals["revenue"] = ("revenue", "sum")
    return [frame.groupby(list(key)).agg(**totals) for key, _ in work.FOLDS.values()]


def main() -> None:
    """Convert in two processes, join, upload."""
    given, client = work.arguments(), work.s3()
    results = given.folder / "results"
    names = work.keys(client, given.source)
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(partial(convert, given.folder), names))
    paths = [given.folder / Path(name).stem for name in names]
    schema = pq.read_schema(f"{paths[0]}.parquet")
    with (
        pq.ParquetWriter(results / "lineitem.parquet", schema, compression="zstd") as parquet,
        (results / "lineitem.csv.gz").open("wb") as csv,
    ):
        for path in paths:
            parquet.write_table(pq.read_table(f"{path}.parquet"))
            with Path(f"{path}.csv.gz").open("rb") as part:  # members of gzip make one file
                shutil.copyfileobj(part, csv)
    for (name, (key, _)), *tables in zip(work.FOLDS.items(), *parts, strict=True):
        frame = pd.concat(tables).groupby(level=list(key)).sum().reset_index()
        frame.to_parquet(results / f"{name}.parquet", compression="zstd")
        frame.to_csv(results / f"{name}.csv.gz", index=False)
    work.publish(client, results, given.target)


if __name__ == "__main__":
    main()
