"""The local S3 server: S3 alone, signed requests only, objects kept over a restart."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from urllib.parse import quote

import boto3
import botocore.auth
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
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
        endless = s3.generate_presigned_url("get_object", Params=given, ExpiresIn=10**15)
    assert get(url) == (200, b"rows")
    for wrong in (
        url.replace("k%20", "x%20"),
        url.replace("Expires=60", "Expires=61"),
        url.replace("text", "html"),
        put,
        endless,
        server.url,
        f"{server.url}/{BUCKET}",
    ):
        assert get(wrong)[0] == 403, wrong
    deadline = time.monotonic() + 10
    while get(short)[0] == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_presigned_url_does_not_copy_another_object(server):
    with client(server) as s3:
        put = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "copy"})
        source = quote(f"/{BUCKET}/a/日期=1/k %2B")
        host = server.url.removeprefix("http://")
        with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
            path = put.removeprefix(server.url)
            connection.request("PUT", path, b"", {"X-Amz-Copy-Source": source})
            assert connection.getresponse().status == 403
        assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


def signed(server, method, path, *, service="s3", headers=None, body=b"", age_s=0):
    """Return the status and body of a request that is signed with the server's own keys, unchanged paths."""
    host = server.url.removeprefix("http://")
    request = AWSRequest(method, server.url + path, {"Host": host, **(headers or {})}, body)
    keys = Credentials(server.access_key, server.secret_key)
    when = datetime.now(UTC) - timedelta(seconds=age_s)
    with patch.object(botocore.auth, "get_current_datetime", lambda **_: when.replace(tzinfo=None)):
        S3SigV4Auth(keys, service, "us-east-1").add_auth(request)
    with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        connection.request(method, path, body, dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()


CREATE = b"Action=CreateStack&StackName=s&TemplateBody=%7B%7D&Version=2010-05-15"


@pytest.mark.parametrize(
    ("service", "method", "path", "body"),
    [
        ("cloudformation", "POST", "/", CREATE),
        ("batch", "POST", "/v1/createcomputeenvironment", b"{}"),
        ("iam", "POST", "/", b"Action=ListUsers&Version=2010-05-08"),
        ("lambda", "GET", "/2015-03-31/functions", b""),
        ("sts", "POST", "/", b"Action=GetCallerIdentity&Version=2011-06-15"),
        ("s3", "POST", "/moto-api/reset", b""),
        ("s3", "GET", "/moto-api/data.json", b""),
        ("s3", "GET", "/latest/meta-data/", b""),
        *(
            ("s3", "PUT", f"/{name}", b"")
            for name in ("..", ".", "...", "%2e%2e", "%2e%2e%2fx", "a..b", "~root")
        ),
    ],
)
def test_nothing_but_s3_is_served_and_no_bucket_is_named_like_a_folder(
    server, service, method, path, body
):
    """Also not to who has the keys; without them even the right request is refused."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert signed(server, method, path, service=service, headers=form, body=body)[0] >= 400
    with client(server) as s3:
        assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == [BUCKET]
        assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
    stranger = replace(server, secret_key="guessed")
    assert signed(stranger, method, path, service=service, headers=form, body=body)[0] == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8080"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        # The link to a file on the run page.
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "169.254.169.254"}, 403),
    ],
)
def test_a_signed_request_of_a_web_page_or_for_another_host_is_refused(server, headers, status):
    assert signed(server, "GET", f"/{BUCKET}?list-type=2", headers=headers)[0] == status


def test_a_preflight_of_a_browser_permits_nothing(server):
    asked = {"Origin": "http://127.0.0.1:1", "Access-Control-Request-Method": "PUT"}
    host = server.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        connection.request("OPTIONS", f"/{BUCKET}/latest.json", headers=asked)
        answer = connection.getresponse()
        assert answer.status == 403
        assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-")]


def test_a_signed_request_is_valid_for_a_quarter_of_an_hour(server):
    path = f"/{BUCKET}?list-type=2"
    assert [signed(server, "GET", path, age_s=age)[0] for age in (800, 1000, -1000)] == [
        200,
        403,
        403,
    ]


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
