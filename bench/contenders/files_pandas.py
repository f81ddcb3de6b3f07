"""A pandas script in two processes: each converts half of the files, the parent joins the halves."""

from __future__ import annotations

import gzip
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from order_lines import BUCKET, COLUMNS, FOLDS, RANGES, VALUES, arguments, keys, publish, s3

TYPES = {"BIGINT": "int64", "DOUBLE": "float64", "VARCHAR": "str"}
DATES = [name for name, kind in COLUMNS.items() if kind == "DATE"]


def convert(names: list[str], out: str) -> list[pd.DataFrame]:
    """Write some files as one Parquet and one CSV file; return their part of the folds."""
    client, folds = s3(), [pd.DataFrame() for _ in FOLDS]
    types = {name: TYPES[kind] for name, kind in COLUMNS.items() if name not in DATES}
    writer = None
    with gzip.open(f"{out}.csv.gz", "wb", compresslevel=6) as csv:
        for name in names:
            body = client.get_object(Bucket=BUCKET, Key=name)["Body"]
            frame = checked(pd.read_csv(body, dtype=types, parse_dates=DATES))
            frame.to_csv(csv, index=False, header=False)
            table = pa.Table.from_pandas(frame, preserve_index=False)
            writer = writer or pq.ParquetWriter(f"{out}.parquet", table.schema, compression="zstd")
            writer.write_table(table)
            folds = [added(*each) for each in zip(folds, parts(frame), FOLDS, strict=True)]
    if writer:
        writer.close()
    return folds


def checked(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that obey the contract."""
    good = frame.notna().all(axis=1)
    for name, (low, high) in RANGES.items():
        good &= frame[name].between(low, high)
    for name, values in VALUES.items():
        good &= frame[name].isin(values)
    return frame[good]


def parts(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the folds of some rows."""
    frame = frame.assign(revenue=frame["l_extendedprice"] * (1 - frame["l_discount"]))
    return [
        frame.groupby(list(key)).agg(
            lines=("revenue", "size"), quantity=("l_quantity", "sum"), revenue=("revenue", "sum")
        )
        for key, _ in FOLDS.values()
    ]


def added(one: pd.DataFrame, other: pd.DataFrame, fold: str) -> pd.DataFrame:
    """Return the sum of two parts of a fold."""
    return pd.concat([one, other]).groupby(level=list(FOLDS[fold][0])).sum() if len(one) else other


def main() -> None:
    """Convert in two processes, join, upload."""
    given, client = arguments(), s3()
    results = given.folder / "results"
    results.mkdir()
    names = keys(client, given.source)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    outs = [str(given.folder / f"half-{number}") for number in range(2)]
    with ProcessPoolExecutor(2) as pool:
        folded = list(pool.map(convert, halves, outs))
    join([Path(out) for out in outs], results / "lineitem")
    for fold, *tables in zip(FOLDS, *folded, strict=True):
        frame = reduce(lambda one, other: added(one, other, fold), tables).reset_index()
        frame.to_parquet(results / f"{fold}.parquet", compression="zstd")
        frame.to_csv(results / f"{fold}.csv.gz", index=False)
    publish(client, results, given.target)


def join(outs: list[Path], path: Path) -> None:
    """Join Parquet files by row groups, and CSV files: members of gzip make one file."""
    files = [pq.ParquetFile(f"{out}.parquet") for out in outs]
    with pq.ParquetWriter(f"{path}.parquet", files[0].schema_arrow, compression="zstd") as writer:
        for file in files:
            for number in range(file.num_row_groups):
                writer.write_table(file.read_row_group(number))
    with Path(f"{path}.csv.gz").open("wb") as csv:
        csv.write(gzip.compress((",".join(COLUMNS) + "\n").encode()))
        for out in outs:
            with Path(f"{out}.csv.gz").open("rb") as half:
                shutil.copyfileobj(half, csv, 1 << 20)


if __name__ == "__main__":
    main()
