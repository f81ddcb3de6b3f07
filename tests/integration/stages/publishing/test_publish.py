"""Publish against a real S3 server: what lies there, in which order, and who may move latest."""

import json
import threading

import pytest

from fanfold.errors import BadConfiguration, Inconsistent, SinkUnavailable
from fanfold.model import RunStatus
from fanfold.stages.publishing import (
    check_bucket,
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


def spy(client, called):
    """Note the writes of a client, in order."""

    def note(model, params, **_):
        if model.name not in {"HeadObject", "GetObject", "ListObjectsV2"}:
            called.append((model.name, params["url_path"].partition("?")[0].rpartition("/")[2]))

    client.meta.events.register("before-call.s3", note)


def test_data_goes_first_then_the_manifest_then_latest(new_s3_client, bucket_name, make_run):
    run, called = make_run(), []
    spy(new_s3_client, called)
    result = publish(Bucket(new_s3_client, bucket_name), run.dataset, run.manifest)
    assert called == [
        ("PutObject", "users.parquet"),
        ("PutObject", "users.csv.gz"),
        ("PutObject", "failed.jsonl"),
        ("PutObject", "manifest.json"),
        ("PutObject", "latest.json"),
    ]
    assert result.latest_moved
    assert [file.sent for file in result.objects] == [True] * 4


def test_a_reader_who_follows_latest_finds_the_run(bucket, make_run, read_as_a_reader):
    run = make_run()
    result = publish(bucket, run.dataset, run.manifest)
    assert read_as_a_reader() == run.manifest
    latest = read_latest(bucket, latest_key(run.manifest.dag_id))
    assert latest.run_id == run.manifest.run_id
    assert latest.logical_date == run.manifest.logical_date
    assert latest.prefix == result.prefix == run_prefix(run.manifest)
    assert latest.manifest == f"{result.prefix}manifest.json"
    assert latest.published_at.endswith("Z")


def test_objects_carry_digest_and_content_type(bucket, make_run):
    run = make_run()
    prefix = publish(bucket, run.dataset, run.manifest).prefix
    types = {}
    for entry in run.manifest.files:
        head = bucket.client.head_object(Bucket=bucket.name, Key=prefix + entry.key)
        assert head["Metadata"] == {"sha256": entry.sha256}
        types[entry.key] = head["ContentType"]
    assert types == {
        "users.parquet": "application/vnd.apache.parquet",
        "users.csv.gz": "application/gzip",
        "failed.jsonl": "application/x-ndjson",
    }
    head = bucket.client.head_object(Bucket=bucket.name, Key=f"{prefix}manifest.json")
    assert head["ContentType"] == "application/json"


def test_publishing_twice_sends_nothing_again(new_s3_client, bucket_name, make_run):
    run, called = make_run(), []
    bucket = Bucket(new_s3_client, bucket_name)
    publish(bucket, run.dataset, run.manifest)
    spy(new_s3_client, called)
    again = publish(bucket, run.dataset, run.manifest)
    assert called == []
    assert again.latest_moved
    assert [file.sent for file in again.objects] == [False] * 4


def test_a_large_file_goes_in_parts_and_comes_back_whole(
    new_s3_client, bucket_name, make_run, read_as_a_reader
):
    run, called = make_run(padding=11 * MIB), []
    spy(new_s3_client, called)
    bucket = Bucket(new_s3_client, bucket_name)
    publish(bucket, run.dataset, run.manifest, parts=Parts(threshold=5 * MIB, size=5 * MIB))
    names = [name for name, key in called if key == "users.parquet"]
    assert names == ["CreateMultipartUpload", *["UploadPart"] * 3, "CompleteMultipartUpload"]
    assert read_as_a_reader() == run.manifest


def test_an_object_damaged_in_the_bucket_is_sent_again(bucket, make_run, read_as_a_reader):
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
    assert [file.sent for file in again.objects] == [True, False, False, False]
    assert read_as_a_reader() == run.manifest


@pytest.mark.parametrize(
    "damage",
    [{"Body": b"y" * 8}, {"Body": b"shorter"}],
    ids=["other bytes", "other size"],
)
def test_what_changes_on_the_way_is_noticed(new_s3_client, bucket_name, make_run, damage):
    run = make_run()
    assert run.manifest.files[0].bytes == 8

    def corrupt(params, **_):
        if params["Key"].endswith("users.parquet"):
            params.update(damage)

    new_s3_client.meta.events.register("before-parameter-build.s3.PutObject", corrupt)
    bucket = Bucket(new_s3_client, bucket_name)
    with pytest.raises(Inconsistent, match=r"users\.parquet differs from the upload"):
        publish(bucket, run.dataset, run.manifest)
    assert [key.rpartition("/")[2] for key in keys(bucket)] == ["users.parquet"]


@pytest.mark.parametrize("spoil", ["change", "remove"])
def test_a_file_that_is_not_the_manifests_is_never_sent(bucket, make_run, spoil):
    run = make_run()
    path = run.dataset / "failed.jsonl"
    path.write_text("{}") if spoil == "change" else path.unlink()
    with pytest.raises(Inconsistent, match=r"failed\.jsonl does not match the manifest"):
        publish(bucket, run.dataset, run.manifest)
    assert keys(bucket) == []


def test_latest_moves_forward_and_never_back(bucket, make_run, read_as_a_reader):
    first, second = make_run(1), make_run(2)
    publish(bucket, second.dataset, second.manifest)
    older = publish(bucket, first.dataset, first.manifest)
    assert not older.latest_moved
    assert "later date" in older.note
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


def test_an_empty_run_keeps_its_folder_and_moves_nothing(bucket, make_run, read_as_a_reader):
    full, empty = make_run(1), make_run(2, status=RunStatus.EMPTY)
    publish(bucket, full.dataset, full.manifest)
    result = publish(bucket, empty.dataset, empty.manifest)
    assert not result.latest_moved
    assert "empty" in result.note
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
def test_a_latest_that_is_not_ours_is_never_overwritten(bucket, make_run, foreign):
    run = make_run()
    key = latest_key(run.manifest.dag_id)
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=foreign)
    with pytest.raises(Inconsistent, match=r"is not a latest\.json of Fanfold"):
        publish(bucket, run.dataset, run.manifest)
    assert keys(bucket) == [key]


def test_of_two_runs_at_once_the_newer_wins(s3_client, new_s3_client, bucket_name, make_run):
    """The older run reads latest, the newer one moves it, then the older one writes."""
    older, newer = make_run(1), make_run(2)

    def overtake(params, **_):
        if params["Key"].endswith("/latest.json") and not overtaken.is_set():
            overtaken.set()
            assert publish(Bucket(s3_client, bucket_name), newer.dataset, newer.manifest).note == ""

    overtaken = threading.Event()
    new_s3_client.meta.events.register("before-parameter-build.s3.PutObject", overtake)
    bucket = Bucket(new_s3_client, bucket_name)
    assert not publish(bucket, older.dataset, older.manifest).latest_moved
    assert overtaken.is_set()
    assert read_latest(bucket, latest_key("weibo_user_profiles")).run_id == newer.manifest.run_id


@pytest.fixture
def refuse_conditions(new_s3_client):
    """Return a function that makes conditional writes fail with a status; it returns a tally."""

    def start(status):
        def refuse(model, params, **_):
            if not {"If-Match", "If-None-Match"} & set(params["headers"]):
                return None
            refused.append(model.name)
            return _Answer(status), {
                "Error": {"Code": "Refused"},
                "ResponseMetadata": {"HTTPStatusCode": status},
            }

        refused = []
        new_s3_client.meta.events.register("before-call.s3.PutObject", refuse)
        return refused

    return start


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_service_without_conditional_writes_will_do(
    new_s3_client, bucket_name, make_run, read_as_a_reader, refuse_conditions, status
):
    run, refused = make_run(), refuse_conditions(status)
    assert publish(Bucket(new_s3_client, bucket_name), run.dataset, run.manifest).latest_moved
    assert refused == ["PutObject"]
    assert read_as_a_reader() == run.manifest


@pytest.mark.parametrize("status", [409, 412])
def test_a_latest_that_others_keep_moving_is_worth_a_retry(
    new_s3_client, bucket_name, make_run, refuse_conditions, status
):
    run, refused = make_run(), refuse_conditions(status)
    bucket = Bucket(new_s3_client, bucket_name)
    with pytest.raises(SinkUnavailable, match="concurrent writers 5 times"):
        publish(bucket, run.dataset, run.manifest)
    assert refused == ["PutObject"] * 5
    assert latest_key(run.manifest.dag_id) not in keys(bucket)


def test_a_refusal_of_latest_is_told(new_s3_client, bucket_name, make_run, refuse_conditions):
    run = make_run()
    refuse_conditions(403)
    with pytest.raises(BadConfiguration, match="PutObject failed"):
        publish(Bucket(new_s3_client, bucket_name), run.dataset, run.manifest)


class _Answer:
    def __init__(self, status_code):
        self.status_code = status_code


def test_report_and_charts_join_the_run(bucket, make_run, tmp_path):
    run = make_run()
    prefix = publish(bucket, run.dataset, run.manifest).prefix
    files = {name: tmp_path / name for name in ("followers.png", "followers.svg", "report.html")}
    for name, path in files.items():
        path.write_text(f"<p>{name}")
    sent = upload_extra(bucket, prefix, files.values())
    assert [file.key for file in sent] == [prefix + name for name in files]
    head = bucket.client.head_object(Bucket=bucket.name, Key=f"{prefix}report.html")
    assert head["ContentType"] == "text/html; charset=utf-8"
    assert head["ContentDisposition"] == "inline"
    assert head["Metadata"] == {"sha256": sent[-1].sha256}
    assert [file.sent for file in upload_extra(bucket, prefix, files.values())] == [False] * 3


@pytest.mark.parametrize("name", ["manifest.json", "absent.png"])
def test_an_extra_file_never_replaces_the_manifest(bucket, tmp_path, name):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(Inconsistent, match=name):
        upload_extra(bucket, "x/", [tmp_path / name])
    assert keys(bucket) == []


def test_the_check_of_a_bucket_leaves_nothing_in_it(bucket):
    check_bucket(bucket)
    assert keys(bucket) == []


def test_a_manifest_in_the_bucket_is_the_one_of_the_run(bucket, make_run):
    run = make_run()
    prefix = publish(bucket, run.dataset, run.manifest).prefix
    body = bucket.client.get_object(Bucket=bucket.name, Key=f"{prefix}manifest.json")["Body"]
    with body:
        assert json.load(body) == run.manifest.as_json()
