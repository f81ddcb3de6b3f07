"""A sum in plain TaskFlow: 1,000 numbers in 8 mapped chunks, results through XCom, one file on S3."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

NUMBERS = 1_000
CHUNKS = 8


@task
def chunks() -> list[list[int]]:
    """Return the numbers in chunks."""
    numbers = list(range(1, NUMBERS + 1))
    size = NUMBERS // CHUNKS
    return [numbers[start : start + size] for start in range(0, NUMBERS, size)]


@task
def add_up(chunk: list[int]) -> list[dict[str, int]]:
    """Return a row a number."""
    return [{"item": number, "total": number} for number in chunk]


@task
def fold(rows: Any) -> int:
    """Write one Parquet file, upload it and return the sum."""
    import io
    import os

    import pandas as pd
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    frame = pd.DataFrame([row for chunk in rows for row in chunk])
    file = io.BytesIO()
    frame.to_parquet(file)
    file.seek(0)
    S3Hook("aws_default").load_file_obj(
        file, "chunked_sum/sums.parquet", os.environ["FANFOLD_BUCKET"], replace=True
    )
    return int(frame["total"].sum())


@dag(schedule=None)
def chunked_sum() -> None:
    """Wire the tasks."""
    fold(add_up.expand(chunk=chunks()))


chunked_sum()
