"""What own tasks read of other DAGs: verified files of the dataset that was published last."""

from __future__ import annotations

import json

import pytest

from fanfold.errors import BadInput, SinkUnavailable
from fanfold.model import Counts, FileEntry, Manifest, RunStatus
from fanfold.stages.publishing import publish
from fanfold.storage.objects import Bucket

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def bucket(airflow_home, s3_server, s3_client, bucket_name, monkeypatch):
    """The bucket of FANFOLD_BUCKET."""
    assert airflow_home.is_dir()
    extra = {"endpoint_url": s3_server.url, "region_name": "us-east-1"}
    fields = {"login": s3_server.access_key, "password": s3_server.secret_key, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", **fields}))
    monkeypatch.setenv("FANFOLD_BUCKET", bucket_name)
    return Bucket(s3_client, bucket_name)


def published(bucket, folder, content=b"rows"):
    import hashlib

    (folder / "users.parquet").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    entry = FileEntry("users.parquet", "parquet", 3, len(content), digest, "users")
    date = "2026-08-01T00:00:00Z"
    manifest = Manifest(
        "users", "run 1", date, RunStatus.COMPLETE, Counts(3, 3), (entry,), 1, date, date, rows=3
    )
    return publish(bucket, folder, manifest).prefix + entry.key, entry


def test_a_published_file_is_an_item_with_what_pins_it(bucket, tmp_path):
    from fanfold.airflow import flow

    key, entry = published(bucket, tmp_path)
    etag = bucket.client.head_object(Bucket=bucket.name, Key=key)["ETag"].strip('"')
    item = flow.published_file("users", column="file")
    assert item == {
        "file": f"s3://{bucket.name}/{key}", "size": 4, "etag": etag,
        "sha256": entry.sha256, "rows": 3, "run_id": "run 1",
    }  # fmt: skip
    with flow.published_table("users", "users") as path:
        assert path.read_bytes() == b"rows"
    with flow.published_table("users", "other") as path:
        assert path is None


def test_what_cannot_be_read_is_named_with_the_way_out(bucket, tmp_path, monkeypatch):
    from fanfold.airflow import flow

    with pytest.raises(BadInput) as never:
        flow.published_file("users")
    assert str(never.value) == (
        f"users has published nothing yet: there is no s3://{bucket.name}/users/latest.json. Run users, "
        "then clear this task."
    )
    with flow.published_table("users") as path:
        assert path is None

    key, _ = published(bucket, tmp_path)
    with pytest.raises(BadInput, match="users publishes no table 'other'"):
        flow.published_file("users", "other")
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"row!")
    with pytest.raises(SinkUnavailable, match="was replaced while it was read"):
        flow.published_file("users")
    bucket.client.delete_object(Bucket=bucket.name, Key=key)
    with pytest.raises(SinkUnavailable, match="was replaced while it was read"):
        flow.published_file("users")
    monkeypatch.setenv("FANFOLD_FILES_ALLOWED", "s3://elsewhere/")
    with pytest.raises(BadInput, match="FANFOLD_FILES_ALLOWED"):
        flow.published_file("users")
