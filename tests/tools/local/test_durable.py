"""The S3 server's objects outlive it, whatever it was at when it was killed."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import socket
import threading
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from fanfold.errors import BadConfiguration
from fanfold.local.objects import client
from fanfold.local.s3 import running_s3

BUCKET = "fanfold"
MIB = 1 << 20


@pytest.fixture
def start(tmp_path):
    """Start a server on the same folder; the former one is killed, as a client sees it."""
    with ExitStack() as stack:
        started = []

        def _start():
            for former in started:
                os.kill(former.pid, signal.SIGKILL)
            started[:] = [stack.enter_context(running_s3(folder=tmp_path / "s3"))]
            server = started[0]
            return stack.enter_context(
                closing(client(server.url, server.access_key, server.secret_key))
            ), server

        yield _start


def read(s3, key):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def test_what_was_acknowledged_is_there_after_a_kill_with_all_that_was_said_of_it(start):
    s3, _ = start()
    s3.create_bucket(Bucket=BUCKET)
    key = "a/../b/日期=1/users.csv.gz"
    s3.put_object(
        Bucket=BUCKET,
        Key=key,
        Body=b"rows",
        ContentType="text/csv",
        ContentEncoding="gzip",
        ContentDisposition="inline",
        CacheControl="no-cache",
        Metadata={"sha256": "1f"},
    )
    s3.put_object(Bucket=BUCKET, Key="a/latest.json", Body=b"old")
    s3.put_object(Bucket=BUCKET, Key="a/latest.json", Body=b"newer")
    s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    s3.put_object(Bucket=BUCKET, Key="gone", Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="gone")
    for name in ("these", "too"):
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"x")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "these"}, {"Key": "too"}]})
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": key})
    before = {
        entry["Key"]: s3.get_object(Bucket=BUCKET, Key=entry["Key"])
        for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    }
    bodies = {name: answer.pop("Body").read() for name, answer in before.items()}
    assert bodies == {key: b"rows", "a/latest.json": b"newer", "empty": b"", "copy": b"rows"}

    s3.create_bucket(Bucket="other")
    s3.create_bucket(Bucket="dropped")
    s3.delete_bucket(Bucket="dropped")

    s3, _ = start()
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET, "other"]
    for name, old in before.items():
        new = s3.get_object(Bucket=BUCKET, Key=name)
        assert new.pop("Body").read() == bodies[name]
        for answer in (old, new):
            answer.pop("ResponseMetadata", None)
        assert new.pop("LastModified") - old.pop("LastModified") < timedelta(seconds=1)
        assert new == old
    assert len(s3.list_objects_v2(Bucket=BUCKET)["Contents"]) == len(before)


def test_an_object_sent_in_parts_is_there_after_a_kill_and_one_that_was_not_completed_is_not(start):
    s3, _ = start()
    s3.create_bucket(Bucket=BUCKET)
    pieces = [random.Random(number).randbytes(5 * MIB + number) for number in range(3)]
    uploads = {}
    for key in ("begun", "whole"):
        upload = uploads[key] = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        parts = [
            {
                "PartNumber": number,
                "ETag": s3.upload_part(
                    Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=piece
                )["ETag"],
            }
            for number, piece in enumerate(pieces, start=1)
        ]
    s3.complete_multipart_upload(
        Bucket=BUCKET, Key="whole", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    etag = s3.head_object(Bucket=BUCKET, Key="whole")["ETag"]
    s3, _ = start()
    assert read(s3, "whole") == b"".join(pieces)
    assert s3.head_object(Bucket=BUCKET, Key="whole")["ETag"] == etag
    with pytest.raises(ClientError):
        s3.list_parts(Bucket=BUCKET, Key="begun", UploadId=uploads["begun"])
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["whole"]


def test_of_many_conditional_writes_at_once_one_alone_succeeds(start):
    s3, _ = start()
    s3.create_bucket(Bucket=BUCKET)
    etag = s3.put_object(Bucket=BUCKET, Key="latest", Body=b"former")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=BUCKET, Key="latest", Body=b"!", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=BUCKET, Key="latest", Body=b"!", IfMatch='"0"')
    won = []

    def write(number):
        with suppress(ClientError):
            s3.put_object(Bucket=BUCKET, Key="latest", Body=str(number).encode(), IfMatch=etag)
            won.append(number)

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = won
    assert read(s3, "latest") == str(winner).encode()


def test_killed_at_random_moments_it_loses_nothing_that_it_acknowledged(start):
    """Four clients write and delete; each knows what the server said yes to."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    s3, server = start()
    s3.create_bucket(Bucket=BUCKET)
    keys = [f"{number}/object" for number in range(4)]
    acknowledged = dict.fromkeys(keys, b"")
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    for _ in range(2):
        tried = dict.fromkeys(keys, b"")
        ready = threading.Semaphore(0)

        def write(key, dice, s3=s3, tried=tried, ready=ready):
            with suppress(BotoCoreError, ClientError):
                for count in range(10_000):
                    size = dice.choice([10, 1000, 300_000])
                    body = tried[key] = f"{key} {count} ".encode() * (size // 10)
                    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
                    acknowledged[key] = body
                    ready.release()

        threads = [
            threading.Thread(target=write, args=[key, random.Random(f"{seed} {key}")])
            for key in keys
        ]
        for thread in threads:
            thread.start()
        for _ in range(chance.randrange(4, 60)):
            ready.acquire(timeout=30)
        os.kill(server.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        s3, server = start()
        for key in keys:
            found = read(s3, key)
            assert found in {acknowledged[key], tried[key]}, f"{key}, seed {seed}"
            acknowledged[key] = found


def test_memory_does_not_grow_with_what_is_stored(start):
    s3, server = start()
    s3.create_bucket(Bucket=BUCKET)
    body = os.urandom(2 * MIB)
    s3.put_object(Bucket=BUCKET, Key="first", Body=body)
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    for number in range(80):
        s3.put_object(Bucket=BUCKET, Key=f"{number}", Body=body)
    # What the garbage collector leaves for later does not depend on how much is stored: 160 MiB.
    assert process.memory_info().rss - before < 80 * MIB
    assert len(process.open_files()) < 5
    s3, server = start()
    assert read(s3, "79") == body
    assert psutil.Process(server.pid).memory_info().rss - before < 20 * MIB


def test_a_damaged_file_is_named_at_the_start(start, tmp_path):
    s3, _ = start()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"rows")
    name = hashlib.sha256(b"k").hexdigest()
    path = tmp_path / "s3" / BUCKET / f"{name}.object"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadConfiguration, match=name):
        start()


def test_half_a_body_of_a_client_that_is_gone_is_no_object(start):
    s3, server = start()
    s3.create_bucket(Bucket=BUCKET)
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            f"PUT /{BUCKET}/half HTTP/1.1\r\nHost: {address.netloc}\r\n"
            "Content-Length: 100\r\n\r\nrows".encode()
        )
        connection.shutdown(socket.SHUT_WR)
        assert b"400" in connection.recv(100)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_an_object_that_cannot_be_written_is_refused_and_the_former_one_stays(start, tmp_path):
    """The bucket's folder is gone and a file lies in its place, which also root cannot write to."""
    s3, _ = start()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"old")
    s3.create_bucket(Bucket="other")
    Path(tmp_path / "s3" / "other").rmdir()
    Path(tmp_path / "s3" / "other").write_text("")
    with pytest.raises(ClientError):
        s3.put_object(Bucket="other", Key="k", Body=b"new")
    assert read(s3, "k") == b"old"
