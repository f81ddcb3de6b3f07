"""A pipeline over files in object storage, run by Airflow: preflight, fetch and its failures."""

from __future__ import annotations

import json
import sys

import pyarrow.parquet as pq
import pytest

import pipelines

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

NAME = "sales"
MODULE = """
import pandera.pandas as pa
from fanfold import Files, Pipeline

class Sale(pa.DataFrameModel):
    item: str
    amount: int

PIPELINE = Pipeline(
    name="sales", noun=("file", "文件"), source=Files(), contract=Sale, key=("item",)
)
"""
DAG = """
from airflow.sdk import Asset, dag
from fanfold.airflow import policies, tasks
from fanfold.airflow.params import file_params

@dag(dag_id="sales", schedule=None, params=file_params(), **policies.PIPELINE)
def sales():
    planned = tasks.plan("sales")
    batches = tasks.batches("sales", planned)
    tasks.preflight("sales") >> tasks.read_items("sales") >> planned
    batches >> tasks.consolidate("sales")

sales()
"""


@pytest.fixture
def sales(pipeline, tmp_path, monkeypatch):
    """The pipeline; objects and a folder are allowed."""
    from airflow import settings

    for folder, text in (("pipelines", MODULE), ("dags", DAG)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{NAME}.py").write_text(text, "utf-8")
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path / "pipelines")])
    pipeline.dags = tmp_path / "dags"
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(pipeline.dags))
    (tmp_path / "drops").mkdir()
    monkeypatch.setenv(
        "FANFOLD_FILES_ALLOWED", f"s3://{pipeline.bucket}/ s3://none/ file://{tmp_path}/drops/"
    )
    yield pipeline
    sys.modules.pop(f"pipelines.{NAME}", None)


def put(sales, name, text):
    """Put an object; return its ETag."""
    return sales.client.put_object(Bucket=sales.bucket, Key=name, Body=text.encode())["ETag"]


def test_files_of_a_bucket_and_of_a_folder_become_rows_and_a_changed_one_is_named(sales, tmp_path):
    """A redrive cannot help: the list of the run has the other ETag."""
    here = f"s3://{sales.bucket}/in"
    entries = [
        {"item": f"{here}/1.csv", "etag": put(sales, "in/1.csv", "amount\n1\n"), "size": 9},
        {"item": f"{here}/2.csv", "etag": '"other"', "size": 9},
        {"item": f"{here}/none.csv"},
        {"item": f"file://{tmp_path}/drops/3.csv"},
    ]
    put(sales, "in/2.csv", "amount\n2\n")
    (tmp_path / "drops" / "3.csv").write_text("amount\n3\n")
    run = sales.run(NAME, files=entries, tolerated_failure_percentage=30)
    counts = run.counts
    assert (counts.ok, counts.missing, counts.failed) == (2, 1, 1)
    assert pq.read_table(run.workspace / "dataset" / f"{NAME}.parquet")["amount"].to_pylist() == [
        3,
        1,
    ]
    failed, missing = (
        json.loads((run.workspace / "dataset" / f"{status}.jsonl").read_text("utf-8"))
        for status in ("failed", "missing")
    )
    assert (failed["key"], failed["reason_id"]) == (f"{here}/2.csv", "files.changed")
    assert missing["reason_id"] == "files.missing"
    assert run.manifest["requests"] == 4
    url = sales.client.meta.endpoint_url
    places = ["file://", f"s3://{sales.bucket} at {url} (us-east-1)"]
    assert run.manifest["places"] == places


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("s3://none/{date}/*.csv", "NoSuchBucket; create the bucket, or correct its name"),
        ("s3://other/*.csv", "s3://other/ is not allowed: files are read from 's3://"),
        ("file:///etc/pass*", "file:///etc/pass is not allowed: files are read from 's3://"),
    ],
)
def test_preflight_looks_for_the_buckets_and_folders_of_the_patterns(sales, pattern, said):
    run = sales.run(NAME, files=[pattern])
    assert "1 of 5 preflight checks failed" in run.error("preflight")
    assert said in run.error("preflight")
