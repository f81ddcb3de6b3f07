"""The bucket's objects, kept on disk between two starts: the embedded S3 server has only memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.embedded.settings import BUCKET
from fanfold.errors import Inconsistent
from fanfold.workspace import read_json, whole_file, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT_HEADERS = ("ContentType", "ContentEncoding", "CacheControl", "ContentDisposition")


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


def keep(s3: Any, folder: Path) -> int:
    """Write all objects of the bucket to ``folder``; return how many there are.

    Keys are data: the files are named after their digest, ``index.json`` says which is which. What
    has not changed since the last time is not fetched again.
    """
    old = {(entry["key"], entry["etag"]): entry for entry in _index(folder)}
    index = []
    for found in keys(s3):
        key, etag = found["Key"], found["ETag"]
        known = old.get((key, etag))
        if known is not None and (folder / known["file"]).exists():
            index.append(known)
            continue
        name = hashlib.sha256(f"{key}\n{etag}".encode()).hexdigest()
        answer = s3.get_object(Bucket=BUCKET, Key=key)
        with whole_file(folder / name) as temporary, temporary.open("wb") as file:
            for chunk in answer["Body"].iter_chunks(1 << 20):
                file.write(chunk)
        headers = {header: answer[header] for header in _KEPT_HEADERS if answer.get(header)}
        index.append(
            {"key": key, "etag": etag, "file": name, "metadata": answer["Metadata"]} | headers
        )
    write_json(folder / "index.json", index)
    kept = {entry["file"] for entry in index} | {"index.json"}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    return len(index)


def restore(s3: Any, folder: Path) -> int:
    """Create the bucket and put back what :func:`keep` wrote; return the number of objects."""
    s3.create_bucket(Bucket=BUCKET)
    restored = 0
    for entry in _index(folder):
        path = folder / entry["file"]
        if path.exists():
            headers = {header: entry[header] for header in _KEPT_HEADERS if header in entry}
            with path.open("rb") as body:
                s3.put_object(
                    Bucket=BUCKET,
                    Key=entry["key"],
                    Body=body,
                    Metadata=entry["metadata"],
                    **headers,
                )
            restored += 1
    return restored


def _index(folder: Path) -> list[dict[str, Any]]:
    """What was kept; the ETag of an object put back in one piece may differ: it is kept again."""
    try:
        entries: list[dict[str, Any]] = read_json(folder / "index.json")
    except Inconsistent:
        return []
    return [entry for entry in entries if Path(entry["file"]).name == entry["file"]]
