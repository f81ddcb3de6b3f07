"""Ask the embedded S3 server for what lies in its bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.local.settings import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator


def client(url: str, access_key: str, secret_key: str) -> Any:
    """Return an S3 client for a server on loopback."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"max_attempts": 2},
        proxies={},
        s3={"addressing_style": "path"},
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=config,
    )


def keys(s3: Any, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Yield what S3 says of each object under a prefix (``Key``, ``Size`` in bytes, ``ETag``)."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        yield from page.get("Contents", [])
