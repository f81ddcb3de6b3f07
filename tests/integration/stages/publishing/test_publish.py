"""Publish to a real S3 server: which objects, in which order, and who may move latest.json."""

import json
from pathlib import Path

import pytest

from fanfold.errors import Inconsistent
from fanfold.model import RunStatus
from fanfold.stages.publishing import (
    latest_key,
    publish,
    read_latest,
    run_prefix,
    upload_extra,
)
from fanfold.storage.objects import Bucket, Parts

MIB = 1024 * 1024


def keys(bucket):
    found = bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", [])
    return [entry["Key"] for entry in found]


@pytest.fixture
def recorded(new_s3_client, bucket_name):
    """A bucket, and the list of the calls of its client with the last part of their keys."""
    calls = []

    def record(model, params, **_):
        calls.append((model.name, params["url_path"].partition("?")[0].rpartition("/")[2]))

    new_s3_client.meta.events.register("before-call.s3", record)
    return Bucket(new_s3_client, bucket_name), calls


def writes(calls):
    return [call for call in calls if call[0] not in {"HeadObject", "GetObject", "ListObjectsV2"}]


def test_data_is_uploaded_first_then_the_manifest_then_latest(recorded, make_run):
    run, (bucket, calls) = make_run(), recorded
    result = publish(bucket, run.dataset, run.manifest)
    files = ["orders.parquet", "orders.csv.gz", "revenue_by_day.parquet", "failed.jsonl"]
    written = writes(calls)
    assert sorted(written[:4]) == sorted(("PutObject", name) for name in files)
    assert written[4:] == [("PutObject", "manifest.json"), ("PutObject", "latest.json")]
    # The manifest is written when the server has confirmed every file.
    confirmed = calls[: calls.index(("HeadObject", "manifest.json"))]
    assert confirmed.count(("HeadObject", "orders.parquet")) == 2
    assert len(confirmed) == 1 + 4 * 3
    assert result.latest_moved
    assert [file.sent for file in result.objects] == [True] * 5
    # The server reports the checksums of all other objects.
    assert {key for name, key in calls if name == "GetObject"} == {"latest.json"}


def test_a_reader_who_follows_latest_finds_the_run(bucket, make_run, read_as_a_reader):
    run = make_run()
    result = publish(bucket, run.dataset, run.manifest)
    assert read_as_a_reader() == run.manifest
    latest = read_latest(bucket, latest_key(run.manifest.dag_id))
    assert (latest.run_id, latest.logical_date) == (run.manifest.run_id, run.manifest.logical_date)
    assert latest.prefix == result.prefix == run_prefix(run.manifest)


def test_objects_have_digest_and_content_type(bucket, make_run):
    run = make_run()
    result = publish(bucket, run.dataset, run.manifest)
    heads = [bucket.client.head_object(Bucket=bucket.name, Key=o.key) for o in result.objects]
    assert [head["Metadata"] for head in heads] == [{"sha256": o.sha256} for o in result.objects]
    assert [o.sha256 for o in result.objects[:-1]] == [file.sha256 for file in run.manifest.files]
    assert [head["ContentType"] for head in heads] == [
        "application/vnd.apache.parquet",
        "application/gzip",
        "application/vnd.apache.parquet",
        "application/x-ndjson",
        "application/json",
    ]


@pytest.mark.parametrize("checksums", [True, False], ids=["with checksums", "without checksums"])
@pytest.mark.parametrize("large", [False, True], ids=["whole", "in parts"])
def test_publishing_twice_uploads_nothing_again(
    recorded, make_run, read_as_a_reader, checksums, large
):
    """Also where HEAD reports no checksum, as in Ceph RGW: there the objects are read."""
    run, (bucket, calls) = make_run(padding=11 * MIB * large), recorded
    if not checksums:
        bucket.client.meta.events.register("after-call.s3.HeadObject", drop_checksum)
    parts = Parts(threshold=5 * MIB, size=5 * MIB)
    publish(bucket, run.dataset, run.manifest, parts=parts)
    names = [name for name, key in writes(calls) if key == "orders.parquet"]
    in_parts = ["CreateMultipartUpload", *["UploadPart"] * 3, "CompleteMultipartUpload"]
    assert names == (in_parts if large else ["PutObject"])
    calls.clear()
    again = publish(bucket, run.dataset, run.manifest, parts=parts)
    assert writes(calls) == []
    assert (("GetObject", "orders.parquet") in calls) is not checksums
    assert again.latest_moved
    assert [file.sent for file in again.objects] == [False] * 5
    assert read_as_a_reader() == run.manifest


def drop_checksum(parsed, **_):
    parsed.pop("ChecksumSHA256", None)


def test_an_object_replaced_in_the_bucket_is_uploaded_again(bucket, make_run, read_as_a_reader):
    run = make_run()
    prefix = publish(bucket, run.dataset, run.manifest).prefix
    entry = run.manifest.files[0]
    bucket.client.put_object(
        Bucket=bucket.name,
        Key=prefix + entry.key,
        Body=b"x" * entry.bytes,
        Metadata={"sha256": entry.sha256},
    )
    again = publish(bucket, run.dataset, run.manifest)
    assert [file.sent for file in again.objects] == [True, False, False, False, False]
    assert read_as_a_reader() == run.manifest


@pytest.mark.parametrize("checksums", [True, False], ids=["with checksums", "without checksums"])
@pytest.mark.parametrize("body", [b"y" * 8, b"shorter"], ids=["other bytes", "other size"])
def test_an_object_that_differs_from_its_file_is_an_error(recorded, make_run, body, checksums):
    run, (bucket, _) = make_run(), recorded
    assert run.manifest.files[0].bytes == 8

    def corrupt(params, **_):
        if params["Key"].endswith("orders.parquet"):
            params["Body"] = body

    bucket.client.meta.events.register("before-parameter-build.s3.PutObject", corrupt)
    if not checksums:
        bucket.client.meta.events.register("after-call.s3.HeadObject", drop_checksum)
    with pytest.raises(Inconsistent, match=r"orders\.parquet differs from the upload"):
        publish(bucket, run.dataset, run.manifest)
    assert not [key for key in keys(bucket) if key.endswith(".json")]


@pytest.mark.parametrize("threshold", [1, MIB], ids=["in parts", "whole"])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[::-1]), "(differs|has the SHA-256)"),
        (lambda path: path.write_bytes(b"{}"), "does not match the manifest"),
        (Path.unlink, "does not match the manifest"),
    ],
    ids=["other bytes", "other size", "missing"],
)
def test_a_file_changed_after_consolidate_is_never_published(
    bucket, make_run, spoil, reason, threshold
):
    run = make_run()
    spoil(run.dataset / "orders.parquet")
    with pytest.raises(Inconsistent, match=rf"orders\.parquet {reason}"):
        publish(bucket, run.dataset, run.manifest, parts=Parts(threshold))
    assert not [key for key in keys(bucket) if key.endswith(".json")]


def test_latest_moves_forward_and_never_back(bucket, make_run, read_as_a_reader):
    first, second = make_run(1), make_run(2)
    publish(bucket, second.dataset, second.manifest)
    older = publish(bucket, first.dataset, first.manifest)
    assert not older.latest_moved
    assert older.warning.id == "publish.older"
    assert older.warning.params == {"newest": second.manifest.logical_date}
    assert f"{older.prefix}manifest.json" in keys(bucket)
    assert read_as_a_reader() == second.manifest
    third = make_run(3)
    assert publish(bucket, third.dataset, third.manifest).latest_moved
    assert read_as_a_reader() == third.manifest


def test_the_same_run_may_publish_a_better_outcome(bucket, make_run, read_as_a_reader):
    partial = make_run(1, content=b"part", status=RunStatus.PARTIAL)
    whole = make_run(1, content=b"whole")
    publish(bucket, partial.dataset, partial.manifest)
    assert publish(bucket, whole.dataset, whole.manifest).latest_moved
    assert read_as_a_reader() == whole.manifest
    assert not [key for key in keys(bucket) if ".aside" in key]


def test_a_run_with_items_of_its_own_is_latest_only_if_it_is_the_first(
    bucket, make_run, read_as_a_reader
):
    daily, own, again = make_run(1), make_run(2), make_run(2, content=b"redriven")
    assert not publish(bucket, own.dataset, own.manifest, update_latest="no").latest_moved
    assert not [key for key in keys(bucket) if key.endswith("latest.json")]
    assert publish(bucket, own.dataset, own.manifest, update_latest="first").latest_moved
    # A redrive of the run that is the latest replaces its dataset.
    assert publish(bucket, again.dataset, again.manifest, update_latest="first").latest_moved
    assert read_as_a_reader() == again.manifest
    bucket.client.delete_object(Bucket=bucket.name, Key=latest_key(own.manifest.dag_id))
    publish(bucket, daily.dataset, daily.manifest)
    kept = publish(bucket, again.dataset, again.manifest, update_latest="first")
    assert (kept.latest_moved, kept.kept, kept.warning) == (False, daily.manifest.run_id, None)
    assert read_as_a_reader() == daily.manifest
    body = bucket.client.get_object(Bucket=bucket.name, Key=f"{kept.prefix}manifest.json")["Body"]
    document = json.loads(body.read())
    assert document["updates_latest"] is False


def test_an_empty_run_keeps_its_folder_and_moves_nothing(bucket, make_run, read_as_a_reader):
    full, empty = make_run(1), make_run(2, status=RunStatus.EMPTY)
    publish(bucket, full.dataset, full.manifest)
    result = publish(bucket, empty.dataset, empty.manifest)
    assert not result.latest_moved
    assert result.warning is None
    assert f"{result.prefix}manifest.json" in keys(bucket)
    assert read_as_a_reader() == full.manifest


def test_a_run_that_became_empty_does_not_overwrite_its_rows(bucket, make_run, read_as_a_reader):
    full, empty = make_run(1), make_run(1, content=b"none", status=RunStatus.EMPTY)
    publish(bucket, full.dataset, full.manifest)
    with pytest.raises(Inconsistent, match="is empty now"):
        publish(bucket, empty.dataset, empty.manifest)
    assert read_as_a_reader() == full.manifest


@pytest.mark.parametrize(
    "foreign",
    [b"", b"<html>", b"[1]", b"{}", b'{"dag_id": "x", "surprise": 1}'],
)
def test_an_unknown_latest_json_is_never_overwritten(bucket, make_run, foreign):
    run = make_run()
    key = latest_key(run.manifest.dag_id)
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=foreign)
    with pytest.raises(Inconsistent, match=r"is not a latest\.json of Fanfold"):
        publish(bucket, run.dataset, run.manifest)
    assert keys(bucket) == [key]


def test_report_and_charts_join_the_run(bucket, make_run, tmp_path):
    run = make_run()
    prefix = publish(bucket, run.dataset, run.manifest).prefix
    files = {name: tmp_path / name for name in ("followers.png", "report.html")}
    for name, path in files.items():
        path.write_text(f"<p>{name}")
    sent = upload_extra(bucket, prefix, files.values())
    assert [file.key for file in sent] == [prefix + name for name in files]
    head = bucket.client.head_object(Bucket=bucket.name, Key=f"{prefix}report.html")
    assert head["ContentType"] == "text/html; charset=utf-8"
    assert head["ContentDisposition"] == "inline"
    assert head["Metadata"] == {"sha256": sent[-1].sha256}
    assert [file.sent for file in upload_extra(bucket, prefix, files.values())] == [False] * 2


@pytest.mark.parametrize("name", ["manifest.json", "absent.png"])
def test_an_extra_file_never_replaces_the_manifest(bucket, tmp_path, name):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(Inconsistent, match=name):
        upload_extra(bucket, "x/", [tmp_path / name])
    assert keys(bucket) == []
