"""The local S3 server: S3 alone, signed requests only, objects kept over a restart."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from fanfold.errors import BadConfiguration
from fanfold.local.s3 import running_s3

BUCKET = "fanfold"
MIB = 1 << 20


def client(server, service="s3"):
    return closing(
        boto3.client(
            service,
            endpoint_url=server.url,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
            config=Config(
                signature_version="s3v4",
                retries={"total_max_attempts": 1},
                proxies={},
                s3={"addressing_style": "path"},
            ),
        )
    )


@contextmanager
def served(folder):
    with running_s3(folder=folder) as server, client(server) as s3:
        yield s3, server


@pytest.fixture(scope="module")
def server():
    with running_s3() as running:
        with client(running) as s3:
            s3.create_bucket(Bucket=BUCKET)
            s3.put_object(Bucket=BUCKET, Key="a/日期=1/k %2B", Body=b"rows")
        yield running


def get(url):
    """Return the status and body of a request without a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"access_key": "AKIAUNKNOWN"}, "InvalidAccessKeyId"),
        ({"secret_key": "wrong"}, "SignatureDoesNotMatch"),
    ],
)
def test_a_wrong_key_or_signature_is_rejected(server, keys, code):
    with client(replace(server, **keys)) as s3:
        for call in (
            lambda: s3.put_object(Bucket=BUCKET, Key="stolen", Body=b"1"),
            lambda: s3.list_objects_v2(Bucket=BUCKET),
        ):
            with pytest.raises(ClientError) as caught:
                call()
            assert caught.value.response["Error"]["Code"] == code
    with client(server) as s3:
        assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


def test_a_changed_body_is_rejected(server):
    with client(server) as s3:
        s3.meta.events.register(
            "before-send.s3.PutObject", lambda request, **_: setattr(request, "body", b"evil")
        )
        with pytest.raises(ClientError, match="XAmzContentSHA256Mismatch"):
            s3.put_object(Bucket=BUCKET, Key="changed", Body=b"good")


def test_a_presigned_url_works_until_it_expires_and_for_its_object_alone(server):
    with client(server) as s3:
        given = {"Bucket": BUCKET, "Key": "a/日期=1/k %2B", "ResponseContentType": "text/x"}
        url = s3.generate_presigned_url("get_object", Params=given, ExpiresIn=60)
        short = s3.generate_presigned_url("get_object", Params=given, ExpiresIn=1)
        put = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "a"})
    assert get(url) == (200, b"rows")
    for wrong in (
        url.replace("k%20", "x%20"),
        url.replace("Expires=60", "Expires=61"),
        url.replace("text", "html"),
        put,
        server.url,
        f"{server.url}/{BUCKET}",
    ):
        assert get(wrong)[0] == 403, wrong
    deadline = time.monotonic() + 10
    while get(short)[0] == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("service", ["iam", "cloudformation", "sts"])
def test_other_services_of_moto_are_not_served(server, service):
    calls = {"iam": "list_users", "cloudformation": "list_stacks", "sts": "get_caller_identity"}
    with client(server, service) as other, pytest.raises(ClientError):
        getattr(other, calls[service])()
    assert get(f"{server.url}/moto-api/data.json")[0] == 403


def test_of_concurrent_conditional_writes_only_one_succeeds(server):
    with client(server) as s3:
        etag = s3.put_object(Bucket=BUCKET, Key="latest", Body=b"", IfNoneMatch="*")["ETag"]
        for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"0"'}):
            with pytest.raises(ClientError, match="PreconditionFailed"):
                s3.put_object(Bucket=BUCKET, Key="latest", Body=b"!", **condition)
        won = []

        def write(number):
            with suppress(ClientError):
                body = str(number).encode()
                s3.put_object(Bucket=BUCKET, Key="latest", Body=body, IfMatch=etag)
                won.append(body)

        threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [s3.get_object(Bucket=BUCKET, Key="latest")["Body"].read()] == won
        s3.delete_object(Bucket=BUCKET, Key="latest")


def test_objects_survive_a_restart(tmp_path):
    content = {"ContentType": "text/csv", "Metadata": {"sha256": "1f"}, "CacheControl": "no-cache"}
    with served(tmp_path / "s3") as (s3, _):
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(
            Bucket=BUCKET, Key="日期", Body=b"rows", ChecksumAlgorithm="SHA256", **content
        )
        (tmp_path / "large").write_bytes(b"x" * (6 * MIB))
        parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
        s3.upload_file(str(tmp_path / "large"), BUCKET, "large", Config=parts)
        before = s3.head_object(Bucket=BUCKET, Key="日期", ChecksumMode="ENABLED")
    with served(tmp_path / "s3") as (s3, _):
        after = s3.head_object(Bucket=BUCKET, Key="日期", ChecksumMode="ENABLED")
        for answer in (before, after):
            del answer["ResponseMetadata"]
        assert after == before
        assert s3.get_object(Bucket=BUCKET, Key="large")["Body"].read() == b"x" * (6 * MIB)
        etag = s3.head_object(Bucket=BUCKET, Key="日期")["ETag"]
        s3.put_object(Bucket=BUCKET, Key="日期", Body=b"new", IfMatch=etag)


def test_a_damaged_file_is_named(tmp_path):
    with served(tmp_path / "s3"):
        pass
    (saved,) = (tmp_path / "s3").iterdir()
    saved.write_bytes(saved.read_bytes()[:-1])
    with (
        pytest.raises(BadConfiguration, match=f"{saved.name} is damaged or unusable"),
        served(tmp_path / "s3"),
    ):
        pass
