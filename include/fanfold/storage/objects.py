"""One object at a time: written once, read back, compared.

Every object that Fanfold writes carries its SHA-256 in its metadata, so that a retried task sees
what is there already and sends only the rest.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from fanfold.errors import Inconsistent
from fanfold.storage.faults import s3_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

MIB = 1024 * 1024
SHA256 = "sha256"
"""Name of the metadata field that holds the digest."""

CONTENT_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".gz": "application/gzip",
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


@dataclass(frozen=True, slots=True)
class Parts:
    """How large files are cut.

    Attributes:
        threshold: Bytes from which a file is sent in parts.
        size: Bytes of a part; S3 takes 5 MiB to 5 GiB, and 10,000 parts an object.
    """

    threshold: int = 128 * MIB
    size: int = 16 * MIB


LARGE_PARTS = Parts()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and how to reach it.

    Attributes:
        client: A boto3 S3 client; who made it closes it.
        name: The bucket's name.
    """

    client: Any
    name: str

    def errors(self) -> AbstractContextManager[None]:
        """Return a block in which errors of the service become ours."""
        return s3_errors(self.name, str(self.client.meta.endpoint_url))


@dataclass(frozen=True, slots=True)
class PublishedObject:
    """An object that was verified.

    Attributes:
        key: Its key in the bucket.
        bytes: Its size.
        sha256: Its SHA-256, in hex.
        sent: Whether it was written now; False where it lay there already.
    """

    key: str
    bytes: int
    sha256: str
    sent: bool


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_file(
    bucket: Bucket,
    key: str,
    path: Path,
    *,
    sha256: str | None = None,
    parts: Parts = LARGE_PARTS,
) -> PublishedObject:
    """Make the object at ``key`` equal to a file, and verify it.

    Memory is bounded by a few parts, whatever the size of the file.

    Args:
        bucket: Where to.
        key: Under which key.
        path: The file.
        sha256: Its SHA-256 in hex, where the caller knows it.
        parts: How it is cut where it is large.

    Raises:
        Inconsistent: The object differs from the file after it was written.
        BadConfiguration: The bucket is missing or closed.
        SinkUnavailable: The service is away.
    """
    digest = sha256 or sha256_of(path)
    transfer = TransferConfig(
        multipart_threshold=parts.threshold, multipart_chunksize=parts.size, max_concurrency=4
    )

    def send() -> None:
        bucket.client.upload_file(
            str(path), bucket.name, key, ExtraArgs=_headers(key, digest), Config=transfer
        )

    return _settle(bucket, key, path.stat().st_size, digest, send)


def put_bytes(bucket: Bucket, key: str, data: bytes) -> PublishedObject:
    """Make the object at ``key`` equal to ``data``, and verify it; raises as :func:`put_file`."""
    digest = hashlib.sha256(data).hexdigest()

    def send() -> None:
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=data, **_headers(key, digest))

    return _settle(bucket, key, len(data), digest, send)


def read_bytes(bucket: Bucket, key: str) -> tuple[bytes, str] | None:
    """Return the bytes and the ETag of a small object, or None where there is none."""
    with bucket.errors():
        try:
            answer = bucket.client.get_object(Bucket=bucket.name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        with closing(answer["Body"]) as body:
            return body.read(), answer["ETag"]


def _settle(
    bucket: Bucket, key: str, size: int, digest: str, send: Callable[[], None]
) -> PublishedObject:
    """Send an object unless it is there already; in both cases read it back."""
    with bucket.errors():
        # Metadata that is right does not make the bytes right: a damaged object is sent again.
        if _present(bucket, key) == (size, digest) and _stored(bucket, key)[1] == (size, digest):
            return PublishedObject(key, size, digest, sent=False)
        send()
        for found in _stored(bucket, key):
            if found != (size, digest):
                raise Inconsistent(_differs(bucket, key, (size, digest), found))
    return PublishedObject(key, size, digest, sent=True)


def _present(bucket: Bucket, key: str) -> tuple[int, str] | None:
    """Return size and noted digest of an object, or None where there is none."""
    try:
        answer = bucket.client.head_object(Bucket=bucket.name, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return None
        raise
    return _noted(answer)


def _stored(bucket: Bucket, key: str) -> tuple[tuple[int, str], tuple[int, str]]:
    """Return size and SHA-256 of an object twice: as noted with it, and of its bytes."""
    digest = hashlib.sha256()
    size = 0
    answer = bucket.client.get_object(Bucket=bucket.name, Key=key)
    with closing(answer["Body"]) as body:
        for piece in body.iter_chunks(MIB):
            digest.update(piece)
            size += len(piece)
    return _noted(answer), (size, digest.hexdigest())


def _noted(answer: Any) -> tuple[int, str]:
    # Some services give metadata names back with capitals.
    noted = {name.lower(): value for name, value in answer["Metadata"].items()}
    return int(answer["ContentLength"]), noted.get(SHA256, "")


def _headers(key: str, digest: str) -> dict[str, Any]:
    suffix = key[key.rfind(".") :]
    headers: dict[str, Any] = {
        "Metadata": {SHA256: digest},
        "ContentType": CONTENT_TYPES.get(suffix, "application/octet-stream"),
    }
    if suffix in {".html", ".png", ".svg"}:
        headers["ContentDisposition"] = "inline"  # a person opens the report, not saves it
    return headers


def _differs(bucket: Bucket, key: str, sent: tuple[int, str], found: tuple[int, str]) -> str:
    return (
        f"s3://{bucket.name}/{key} differs from what was sent: {found[0]} bytes with SHA-256 "
        f"{found[1]} instead of {sent[0]} bytes with {sent[1]}. latest.json was not moved. Clear "
        "the task to send it again; if it happens again, something else writes to this key."
    )


def download_address(bucket: Bucket, key: str, *, seconds: int) -> str | None:
    """Return an address at which anybody can download an object for some time, or None.

    Args:
        bucket: Where it lies.
        key: Its key.
        seconds: For how long.

    Raises:
        BadConfiguration: The bucket is missing or closed.
        SinkUnavailable: The service is away.
    """
    name = key.rpartition("/")[2]
    with bucket.errors():
        try:
            bucket.client.head_object(Bucket=bucket.name, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT:
                return None
            raise
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
