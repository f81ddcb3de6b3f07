"""Who may move latest.json, on services that treat conditional writes differently."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from filelock import FileLock

from fanfold.errors import SinkUnavailable
from fanfold.stages.publishing import IfMatch, check_bucket, latest_key, publish, read_latest
from fanfold.storage.objects import Bucket


def keys(bucket):
    found = bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", [])
    return [entry["Key"] for entry in found]


@pytest.mark.parametrize(("service", "write"), [(None, 1), ("Ceph RGW", 2)])
def test_of_two_concurrent_runs_the_newer_one_wins(
    s3_client, new_s3_client, bucket_name, make_run, behave_as, service, write
):
    """The older run reads latest, the newer one moves it, then the older one writes (for RGW, again)."""
    first, older, newer = make_run(1), make_run(2), make_run(3)
    publish(Bucket(s3_client, bucket_name), first.dataset, first.manifest)
    behave_as(service)

    def overtake(params, **_):
        if params["Key"].endswith("/latest.json"):
            writes.append(params["IfMatch"])
            if len(writes) == write:
                other = Bucket(s3_client, bucket_name)
                assert publish(other, newer.dataset, newer.manifest).latest_moved

    writes = []
    new_s3_client.meta.events.register("before-parameter-build.s3.PutObject", overtake)
    bucket = Bucket(new_s3_client, bucket_name)
    assert not publish(bucket, older.dataset, older.manifest).latest_moved
    assert len(writes) == write
    assert read_latest(bucket, latest_key("weibo_user_profiles")).run_id == newer.manifest.run_id


def test_where_conditions_are_ignored_the_lock_keeps_a_merged_run_from_losing_another(
    s3_client, new_s3_client, bucket_name, make_run, tmp_path
):
    """``rclone serve s3`` answers 200 to any ETag. The second run comes while the first one writes."""
    first, second = (replace(make_run(day).manifest, mode="merge", generation=1) for day in (1, 2))

    def publish_second():
        lock = FileLock(tmp_path / "lock", timeout=0)
        return publish(Bucket(s3_client, bucket_name), make_run(2).dataset, second, lock=lock)

    def ignore(params, **_):
        dropped = [params["headers"].pop(name, None) for name in ("If-Match", "If-None-Match")]
        if any(dropped):
            with pytest.raises(SinkUnavailable, match="it holds the lock"):
                publish_second()
            refused.append(dropped)

    refused = []
    new_s3_client.meta.events.register("before-call.s3.PutObject", ignore)
    lock = FileLock(tmp_path / "lock")
    bucket = Bucket(new_s3_client, bucket_name)
    assert publish(bucket, make_run(1).dataset, first, lock=lock).latest_moved
    assert len(refused) == 1
    assert publish_second().outdated
    assert read_latest(bucket, latest_key(first.dag_id)).run_id == first.run_id


@pytest.fixture
def reject_conditions(new_s3_client):
    """Return a function that makes conditional writes fail with a status, and lists them."""

    def start(status):
        def reject(model, params, **_):
            if not {"If-Match", "If-None-Match"} & set(params["headers"]):
                return None
            rejected.append(model.name)
            answer = {"Error": {"Code": "Refused"}, "ResponseMetadata": {"HTTPStatusCode": status}}
            return SimpleNamespace(status_code=status), answer

        rejected = []
        new_s3_client.meta.events.register("before-call.s3.PutObject", reject)
        return rejected

    return start


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_service_without_conditional_writes_is_supported(
    new_s3_client, bucket_name, make_run, read_as_a_reader, reject_conditions, status
):
    run, rejected = make_run(), reject_conditions(status)
    assert publish(Bucket(new_s3_client, bucket_name), run.dataset, run.manifest).latest_moved
    assert rejected == ["PutObject"]
    assert read_as_a_reader() == run.manifest


@pytest.fixture
def behave_as(new_s3_client):
    """Return a function that makes the service treat If-Match as another one does."""

    def start(service):
        def answer(params, **_):
            etag = params["headers"].get("If-Match")
            if etag is None or (
                service == "protected" and "/latest.json" not in params["url_path"]
            ):
                return None
            if service == "Ceph RGW" and not etag.startswith('"'):
                params["headers"]["If-Match"] = f'"{etag}"'
                return None
            if service == "ignores it":
                del params["headers"]["If-Match"]
                return None
            refused = {"Error": {"Code": "PreconditionFailed"}}
            return SimpleNamespace(status_code=412), {
                **refused,
                "ResponseMetadata": {"HTTPStatusCode": 412},
            }

        if service:
            new_s3_client.meta.events.register("before-call.s3.PutObject", answer)

    return start


@pytest.mark.parametrize(
    ("service", "if_match"),
    [
        (None, IfMatch.QUOTED),
        ("Ceph RGW", IfMatch.BARE),
        ("ignores it", IfMatch.NONE),
        ("refuses it", IfMatch.NONE),
    ],
)
def test_every_run_is_published_whatever_the_service_makes_of_if_match(
    new_s3_client, bucket_name, make_run, read_as_a_reader, behave_as, service, if_match
):
    """Ceph RGW 16.2 answers 412 to the ETag in quotes, as it gave it, and 200 to the same without."""
    behave_as(service)
    bucket = Bucket(new_s3_client, bucket_name)
    assert check_bucket(bucket) is if_match
    for run in (make_run(1), make_run(2, content=b"part"), make_run(2, content=b"redriven")):
        assert publish(bucket, run.dataset, run.manifest).latest_moved
        assert read_as_a_reader() == run.manifest
    older = make_run(1, content=b"late")
    assert not publish(bucket, older.dataset, older.manifest).latest_moved
    assert read_as_a_reader() == run.manifest
    assert not [key for key in keys(bucket) if ".fanfold-preflight" in key]


def test_a_latest_that_keeps_changing_is_retriable(
    s3_client, new_s3_client, bucket_name, make_run, read_as_a_reader
):
    old, new = make_run(1), make_run(2)
    bucket, other = Bucket(new_s3_client, bucket_name), Bucket(s3_client, bucket_name)
    publish(other, old.dataset, old.manifest)
    written = []

    def replace_latest(params, **_):
        if params["Key"].endswith("/latest.json"):
            found = other.client.get_object(Bucket=bucket_name, Key=params["Key"])["Body"].read()
            other.client.put_object(Bucket=bucket_name, Key=params["Key"], Body=found + b"\n")
            written.append(params["IfMatch"])

    new_s3_client.meta.events.register("before-parameter-build.s3.PutObject", replace_latest)
    with pytest.raises(SinkUnavailable, match="concurrent writers 5 times"):
        publish(bucket, new.dataset, new.manifest)
    assert len(set(written)) == 5
    assert read_as_a_reader() == old.manifest


def test_a_latest_under_writing_is_retriable(
    new_s3_client, bucket_name, make_run, reject_conditions
):
    run, rejected = make_run(), reject_conditions(409)
    bucket = Bucket(new_s3_client, bucket_name)
    with pytest.raises(SinkUnavailable, match="concurrent writers 5 times"):
        publish(bucket, run.dataset, run.manifest)
    assert rejected == ["PutObject"] * 5
    assert latest_key(run.manifest.dag_id) not in keys(bucket)


def test_a_latest_that_the_service_protects_is_not_blamed_on_other_writers(
    new_s3_client, bucket_name, make_run, read_as_a_reader, behave_as, s3_server
):
    old, new = make_run(1), make_run(2)
    bucket = Bucket(new_s3_client, bucket_name)
    publish(bucket, old.dataset, old.manifest)
    behave_as("protected")
    with pytest.raises(SinkUnavailable, match="no other writer replaced it") as caught:
        publish(bucket, new.dataset, new.manifest)
    assert s3_server.url in str(caught.value)
    assert read_as_a_reader() == old.manifest
