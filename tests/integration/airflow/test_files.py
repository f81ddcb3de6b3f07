"""Files as items, found in a bucket, as the task ``read_items`` finds them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandera import pandas as pandera

from fanfold import Files, Pipeline
from fanfold.errors import BadInput
from fanfold.model import Counts, FileEntry, Manifest, Outcome, RunIdentity, RunStatus, Status
from fanfold.readers import write_items
from fanfold.sources.version import rows_version
from fanfold.stages.planning import write_plan
from fanfold.stages.publishing import publish
from fanfold.storage.objects import Bucket
from fanfold.workspace.base import BaseRef, LedgerRow, ledger_schema, read_base_ref
from fanfold.workspace.files import read_jsonl, write_json, write_jsonl
from fanfold.workspace.paths import Workspace

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


class Order(pandera.DataFrameModel):
    order: str


ORDERS = Pipeline(name="orders", noun="file", source=Files(), contract=Order, key=("order",))
MERGED = replace(ORDERS, mode="merge")
NOW = datetime(2026, 7, 4, tzinfo=UTC)


class Reader:
    """Reads the items of runs of the DAG ``orders``."""

    def __init__(self, bucket, folder):
        self.bucket = bucket
        self.workspace = Workspace(folder / "orders" / "manual")
        self.root = f"s3://{bucket.name}/"

    def put(self, key, body=b"x"):
        self.bucket.client.put_object(Bucket=self.bucket.name, Key=key, Body=body)

    def facts(self, key):
        """Size, ETag and time of an object."""
        head = self.bucket.client.head_object(Bucket=self.bucket.name, Key=key)
        return {
            "size": head["ContentLength"],
            "etag": head["ETag"].strip('"'),
            "modified": f"{head['LastModified']:%Y-%m-%dT%H:%M:%S}.000Z",
        }

    def read(self, *items, pipeline=ORDERS, uri=None, earlier_rows="auto", own=False):
        """Attributes of each item by its key without the bucket."""
        from fanfold.airflow.items import items_of_run
        from fanfold.airflow.items_from import ItemsFrom
        from fanfold.airflow.settings import Options

        options = Options(None, 0, 0, dry_run=False, lag_days=1, earlier_rows=earlier_rows)
        chosen = ItemsFrom(tuple(self.root + item for item in items), uri, is_default=own)
        run = RunIdentity("orders", "manual", NOW)
        with items_of_run(run, self.workspace, pipeline, chosen, options) as located:
            write_items(self.workspace, located, pipeline.check_item)
        keys = [key.removeprefix(self.root) for key in read_jsonl(self.workspace.listed)]
        there = self.workspace.listed_attributes
        return dict(
            zip(keys, read_jsonl(there) if there.exists() else [{}] * len(keys), strict=True)
        )

    def publish(self, folder, *rows, version, listed="2026-07-03"):
        """Publish a dataset of mode ``merge`` with this ledger."""
        folder.mkdir()
        path = folder / "orders.ledger.parquet"
        pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], ledger_schema()), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entry = FileEntry(path.name, "ledger", len(rows), path.stat().st_size, digest)
        day = "2026-07-03T00:00:00.000Z"
        manifest = Manifest(
            *("orders", "before", day, RunStatus.COMPLETE, Counts(1, 1), (entry,), 1, day, day),
            mode="merge", generation=1, rows_version=version, listed=listed,
        )  # fmt: skip
        assert publish(self.bucket, folder, manifest).latest_moved

    def row(self, key, status="ok", **facts):
        defaults = {"size": 1, "etag": "e", "modified": "2026-07-03T00:00:00.000Z"}
        return LedgerRow(
            item=self.root + key, date=None, status=status, reason="", rows=1, rejected=0,
            generation=1, run_id="before", **{**defaults, **facts},
        )  # fmt: skip


@pytest.fixture
def reader(airflow_home, s3_server, s3_client, bucket_name, monkeypatch, tmp_path):
    assert airflow_home.is_dir()
    connection = {
        "conn_type": "aws",
        "login": s3_server.access_key,
        "password": s3_server.secret_key,
        "extra": {"endpoint_url": s3_server.url, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("FANFOLD_BUCKET", bucket_name)
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(tmp_path))
    return Reader(Bucket(s3_client, bucket_name), tmp_path)


def test_a_pattern_with_a_date_finds_the_objects_of_the_window(reader):
    for day in ("02", "03", "04", "05"):
        for name in ("a b.csv", "ü%2F.csv", "a.txt"):
            reader.put(f"orders/2026-07-{day}/{name}", b"x" * int(day))
    found = reader.read("orders/{date}/*.csv")
    assert found == {
        f"orders/{day}/{name}": {**reader.facts(f"orders/{day}/{name}"), "date": day}
        for day in ("2026-07-03", "2026-07-04")
        for name in ("a b.csv", "ü%2F.csv")
    }
    # Nothing is published: a merge reads all dates up to its own.
    assert len(reader.read("orders/{date}/*.csv", pipeline=MERGED)) == 6
    assert read_base_ref(reader.workspace) == BaseRef()


def test_a_manifest_file_has_names_relative_to_its_folder(reader, tmp_path):
    reader.put("lists/day/a.csv")
    reader.put("b.csv")
    lines = [
        {"item": "day/a.csv"},
        {"item": "/b.csv", "ETag": '"planned"', "Size": "7", "shop": "k"},
        {"item": f"{reader.root}gone.csv"},
    ]
    reader.put("lists/files.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines).encode())
    found = reader.read(uri=f"{reader.root}lists/files.jsonl")
    assert found == {
        "b.csv": {"etag": "planned", "size": 7, "shop": "k"},
        "gone.csv": {},
        "lists/day/a.csv": reader.facts("lists/day/a.csv"),
    }
    path = tmp_path / "inputs" / "lists #1" / "files.csv"
    path.parent.mkdir(parents=True)
    path.write_text("item\na.csv\n/secret.csv\n")
    with pytest.raises(BadInput, match="line 3 is not allowed: files are read from"):
        reader.read(uri=path.as_uri())
    path.write_text("item\na.csv\n")
    (path.parent / "a.csv").write_text("x")
    (found,) = reader.read(uri=path.as_uri())
    assert found == f"file://{path.parent}/a.csv"


def test_the_files_of_an_earlier_run_are_looked_up_again(reader):
    """A file that changed before it was fetched would fail again by its ETag of then."""
    reader.put("a.csv", b"now")
    earlier = reader.workspace.sibling("earlier")
    planned = {"etag": "then", "size": 1, "modified": "", "date": "2026-07-01"}
    write_jsonl(earlier.listed, [f"{reader.root}a.csv"])
    write_jsonl(earlier.listed_attributes, [planned])
    write_plan(
        earlier, ORDERS, wanted_size=None, logical_date="", started_at="2026-07-01T00:00:00Z"
    )
    failed = Outcome(f"{reader.root}a.csv", Status.FAILED, "changed")
    write_jsonl(earlier.batch(0).failed_file, [failed.as_json()])
    write_json(earlier.manifest, {})
    found = reader.read(uri="run://orders/earlier")
    assert found == {"a.csv": {**reader.facts("a.csv"), "date": "2026-07-01"}}


def test_a_run_of_some_files_does_not_move_the_dates_that_the_next_one_searches(reader, tmp_path):
    reader.put("o/2026-01-01/early")
    version = rows_version(MERGED)
    reader.publish(tmp_path / "some", reader.row("x/some"), version=version, listed="")
    assert list(reader.read("o/2026-01-01/early", pipeline=MERGED)) == ["o/2026-01-01/early"]
    assert not read_base_ref(reader.workspace).listed
    found = reader.read("o/{date}/*", pipeline=MERGED, own=True)
    assert list(found) == ["o/2026-01-01/early"]
    assert read_base_ref(reader.workspace).listed == "2026-07-04"


def test_a_merge_reads_new_changed_and_failed_objects(reader, tmp_path):
    for key in ("o/2026-07-01/same", "o/2026-07-03/same", "o/2026-07-03/changed", "x/failed"):
        reader.put(key)
    same = [
        reader.row(f"o/2026-07-{day}/same", **reader.facts(f"o/2026-07-{day}/same"))
        for day in ("01", "03")
    ]
    changed = reader.row("o/2026-07-03/changed")
    failed = [reader.row("x/failed", "failed"), reader.row("x/gone", "invalid")]
    rows = (same[0], changed, same[1], *failed)
    reader.publish(tmp_path / "before", *rows, version=rows_version(MERGED))
    reader.put("o/2026-07-02/late")
    reader.put("o/2026-07-01/too late")  # the 3rd was searched, the lag is a day
    assert list(reader.read("o/{date}/*", pipeline=MERGED)) == [
        *("o/2026-07-02/late", "o/2026-07-03/changed", "x/failed")
    ]
    assert read_base_ref(reader.workspace) == BaseRef(1)
    # Other code reads all again, also what is listed nowhere.
    other = replace(MERGED, newest="order")
    assert list(reader.read("o/{date}/*", pipeline=other)) == [
        *("o/2026-07-01/same", "o/2026-07-01/too late", "o/2026-07-02/late"),
        *("o/2026-07-03/changed", "o/2026-07-03/same", "x/failed", "x/gone"),
    ]
    assert read_base_ref(reader.workspace) == BaseRef(1, rebuild=True)
    kept = reader.read("o/{date}/*", pipeline=other, earlier_rows="keep")
    assert list(kept) == ["o/2026-07-02/late", "o/2026-07-03/changed", "x/failed"]
    # A snapshot reads its window, whatever was published.
    assert len(reader.read("o/{date}/*")) == 2
