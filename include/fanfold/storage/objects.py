"""Objects in a bucket: verified uploads, small reads, download links.

The server checks uploads against their SHA-256 and reports it with HEAD. Servers that report none,
such as Ceph RGW, need a full read of each object instead, as do those that are sent none
(``request_checksum_calculation``: ``when_required``).
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from fanfold.errors import Inconsistent
from fanfold.storage.s3_errors import s3_errors, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

MIB = 1024 * 1024

CONTENT_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".gz": "application/gzip",
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
}
ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
"""Error codes of an object that does not exist."""
_MAX_PARTS = 10_000
"""S3's limit per object."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Settings of multipart uploads.

    Attributes:
        threshold: Bytes from which a file is uploaded in parts.
        size: Bytes of a part; S3 accepts 5 MiB to 5 GiB.
    """

    threshold: int = 128 * MIB
    size: int = 16 * MIB


LARGE_PARTS = Parts()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and its client.

    The creator of the boto3 S3 client closes it.
    """

    client: Any
    name: str

    @property
    def endpoint(self) -> str:
        """Scheme, host and port of the service."""
        return shown(str(self.client.meta.endpoint_url))

    @property
    def checksums(self) -> bool:
        """Whether the service keeps checksums: ``request_checksum_calculation`` may say that it does not."""
        return bool(self.client.meta.config.request_checksum_calculation == "when_supported")

    def errors(self) -> AbstractContextManager[None]:
        """Return a block that translates errors of the service."""
        return s3_errors(self.name, str(self.client.meta.endpoint_url))


@dataclass(frozen=True, slots=True)
class PublishedObject:
    """A verified object.

    Attributes:
        key: Its key in the bucket.
        bytes: Its size.
        sha256: Its SHA-256, in hex.
        sent: Whether it was uploaded now; False if it already existed.
    """

    key: str
    bytes: int
    sha256: str
    sent: bool


def put_file(
    bucket: Bucket,
    key: str,
    path: Path,
    *,
    sha256: str | None = None,
    parts: Parts = LARGE_PARTS,
) -> PublishedObject:
    """Upload a file to ``key`` unless it is already there, and verify the object.

    Memory is bounded by a few parts.

    A file below ``parts.threshold`` whose ``sha256`` (hex) is given is not hashed again.

    Raises:
        Inconsistent: File or object do not have the expected SHA-256.
        BadConfiguration: The bucket is missing or access is denied.
        SinkUnavailable: The service is unavailable.
    """
    size = path.stat().st_size
    part_size = max(parts.size, -(-size // _MAX_PARTS))
    if sha256 is not None and size < parts.threshold:
        digest, composite = sha256, ""
    else:
        digest, composite = _hash(path, part_size)
    if sha256 not in {None, digest}:
        raise Inconsistent(f"{path} has the SHA-256 {digest} instead of {sha256}.")
    transfer = TransferConfig(
        multipart_threshold=parts.threshold, multipart_chunksize=part_size, max_concurrency=4
    )

    def send() -> None:
        bucket.client.upload_file(
            str(path), bucket.name, key, ExtraArgs=_headers(bucket, key, digest), Config=transfer
        )

    return _settle(bucket, PublishedObject(key, size, digest, sent=True), send, composite)


def put_bytes(bucket: Bucket, key: str, data: bytes) -> PublishedObject:
    """Upload ``data`` to ``key`` like :func:`put_file`."""
    digest = hashlib.sha256(data).hexdigest()

    def send() -> None:
        bucket.client.put_object(
            Bucket=bucket.name, Key=key, Body=data, **_headers(bucket, key, digest)
        )

    return _settle(bucket, PublishedObject(key, len(data), digest, sent=True), send)


def read_bytes(bucket: Bucket, key: str) -> tuple[bytes, str] | None:
    """Return the bytes and the ETag of a small object, or None if there is none."""
    with bucket.errors():
        try:
            answer = bucket.client.get_object(Bucket=bucket.name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in ABSENT:
                return None
            raise
        with closing(answer["Body"]) as body:
            return body.read(), answer["ETag"]


def download(bucket: Bucket, key: str, path: Path) -> bool:
    """Download an object to a file; return whether there is one."""
    with bucket.errors():
        try:
            bucket.client.download_file(bucket.name, key, str(path))
        except ClientError as error:
            if error.response["Error"]["Code"] in ABSENT:
                return False
            raise
    return True


def list_objects(bucket: Bucket, prefix: str) -> Iterator[tuple[str, int, datetime]]:
    """Yield key, size and time of the last write of each object below a prefix, sorted by key."""
    with bucket.errors():
        pages = bucket.client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket.name, Prefix=prefix
        )
        for page in pages:
            for found in page.get("Contents", ()):
                yield found["Key"], found["Size"], found["LastModified"]


def remove_objects(bucket: Bucket, keys: Iterable[str]) -> None:
    """Delete objects one after the other: not all services know the request that deletes several."""
    with bucket.errors():
        for key in keys:
            bucket.client.delete_object(Bucket=bucket.name, Key=key)


def download_address(bucket: Bucket, key: str, *, seconds: int) -> str | None:
    """Return a presigned URL of an object, or None if there is no such object.

    The URL is valid for ``seconds``.

    Raises:
        BadConfiguration: The bucket is missing or access is denied.
        SinkUnavailable: The service is unavailable.
    """
    name = key.rpartition("/")[2]
    with bucket.errors():
        if _head(bucket, key) is None:
            return None
        return str(
            bucket.client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": bucket.name,
                    "Key": key,
                    "ResponseContentDisposition": f'attachment; filename="{name}"',
                },
                ExpiresIn=seconds,
            )
        )


def _settle(
    bucket: Bucket, target: PublishedObject, send: Callable[[], None], composite: str = ""
) -> PublishedObject:
    """Upload an object unless it is already there, and verify it.

    ``composite`` is the composite checksum if it is uploaded in parts.
    """
    checksum = _base64(target.sha256)
    expected = {(target.bytes, checksum), (target.bytes, composite)}
    with bucket.errors():
        if _stored(bucket, target) in expected:
            return replace(target, sent=False)
        send()
        found = _stored(bucket, target)
    if found in expected:
        return target
    raise Inconsistent(
        f"s3://{bucket.name}/{target.key} differs from the upload: size and SHA-256 (base64) are "
        f"{found} instead of {(target.bytes, composite or checksum)}. latest.json was not moved. "
        "Clear the task to upload it again; if this happens again, another program writes to this "
        "key."
    )


def _stored(bucket: Bucket, target: PublishedObject) -> tuple[int, str] | None:
    """Return size and SHA-256 of an object, or None if there is none.

    If the server reports no checksum, an object of the expected size is read.
    """
    head = _head(bucket, target.key)
    if head is None:
        return None
    # The checksum of a multipart upload may have the number of parts behind it: "…=-3".
    checksum: str = head.get("ChecksumSHA256", "").partition("-")[0]
    if not checksum and head["ContentLength"] == target.bytes:
        read = hashlib.sha256()
        answer = bucket.client.get_object(Bucket=bucket.name, Key=target.key)
        with closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(MIB):
                read.update(chunk)
        checksum = _base64(read.hexdigest())
    return head["ContentLength"], checksum


def _head(bucket: Bucket, key: str) -> dict[str, Any] | None:
    mode = {"ChecksumMode": "ENABLED"} if bucket.checksums else {}
    try:
        head: dict[str, Any] = bucket.client.head_object(Bucket=bucket.name, Key=key, **mode)
    except ClientError as error:
        if error.response["Error"]["Code"] in ABSENT:
            return None
        raise
    return head


def _headers(bucket: Bucket, key: str, digest: str) -> dict[str, Any]:
    suffix = key[key.rfind(".") :]
    headers: dict[str, Any] = {
        "Metadata": {"sha256": digest},
        "ContentType": CONTENT_TYPES.get(suffix, "application/octet-stream"),
    }
    if bucket.checksums:
        # Over HTTPS, boto sends it behind the data, in chunks that not all services understand.
        headers["ChecksumAlgorithm"] = "SHA256"
    if suffix in {".html", ".png"}:
        headers["ContentDisposition"] = "inline"  # browsers open the report instead of saving it
    return headers


def _hash(path: Path, part_size: int) -> tuple[str, str]:
    """Return the SHA-256 of a file in hex, and its composite checksum in base64.

    Source: "Checking object integrity in Amazon S3", Amazon S3 User Guide.
    """
    whole, composite = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(part_size):
            whole.update(part)
            composite.update(hashlib.sha256(part).digest())
    return whole.hexdigest(), _base64(composite.hexdigest())


def _base64(digest: str) -> str:
    return b64encode(bytes.fromhex(digest)).decode()
