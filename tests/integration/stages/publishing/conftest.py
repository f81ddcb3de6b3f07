"""Runs to publish, as consolidate writes them."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from fanfold.model import Counts, FileEntry, Manifest, RunStatus
from fanfold.storage.objects import Bucket


@dataclass(frozen=True)
class Run:
    dataset: Path
    manifest: Manifest


@pytest.fixture
def bucket(s3_client, bucket_name):
    return Bucket(s3_client, bucket_name)


@pytest.fixture
def make_run(tmp_path):
    """Return a function that writes the files of a run and returns it."""

    def make(day=1, *, content=b"rows", status=RunStatus.COMPLETE, padding=0, without=()):
        run_id = f"scheduled__2026-03-{day:02d}T00:00:00+00:00"
        folder = tmp_path / f"{run_id}-{hashlib.sha256(content).hexdigest()[:8]}"
        folder.mkdir(exist_ok=True)
        files = {
            "orders.parquet": b"PAR1" + content + bytes(range(256)) * (padding // 256),
            "orders.csv.gz": gzip.compress(content, mtime=0),
            "revenue_by_day.parquet": b"PAR1fold" + content,
            "failed.jsonl": b"",
        }
        entries = []
        for name, data in files.items():
            if name in without:
                continue
            (folder / name).write_bytes(data)
            table, _, kind = name.partition(".")
            digest = hashlib.sha256(data).hexdigest()
            entries.append(FileEntry(name, kind, 1, len(data), digest, table))
        manifest = Manifest(
            dag_id="weibo_user_profiles",
            run_id=run_id,
            logical_date=f"2026-03-{day:02d}T00:00:00.000Z",
            status=status,
            counts=Counts(planned=1, ok=1),
            rows=1,
            files=tuple(entries),
            requests=1,
            started_at="2026-03-01T00:00:01.000Z",
            finished_at="2026-03-01T00:00:02.000Z",
        )
        return Run(folder, manifest)

    return make


@pytest.fixture
def read_as_a_reader(s3_client, bucket_name):
    """Return a function that follows latest.json, verifies its files, and returns the manifest."""

    def get(key):
        with s3_client.get_object(Bucket=bucket_name, Key=key)["Body"] as body:
            return body.read()

    def read():
        latest = json.loads(get("weibo_user_profiles/latest.json"))
        document = get(latest["manifest"])
        assert hashlib.sha256(document).hexdigest() == latest["sha256"]
        manifest = Manifest.from_json(json.loads(document))
        assert manifest.files
        for entry in manifest.files:
            data = get(latest["prefix"] + entry.key)
            assert len(data) == entry.bytes
            assert hashlib.sha256(data).hexdigest() == entry.sha256
        return manifest

    return read
