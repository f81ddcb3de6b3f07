"""``<dag_id>/latest.json``: the location of the newest complete dataset.

Readers start at this object; it is replaced in one conditional write.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fanfold.errors import Inconsistent, SinkUnavailable
from fanfold.model import utc_text
from fanfold.storage.objects import read_bytes

if TYPE_CHECKING:
    from fanfold.storage.objects import Bucket

_TRIES = 5
_CONFLICT = {409, 412}
"""Statuses of a failed condition, or of a concurrent write."""
_UNSUPPORTED = {400, 405, 501}
"""Statuses of services without conditional writes; a plain write tells whether that was it."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The content of ``latest.json``.

    Attributes:
        dag_id: The DAG.
        run_id: The run that produced the dataset.
        logical_date: The run's logical date (ISO 8601, UTC).
        manifest: Key of the manifest.
        prefix: Prefix of the run's objects, ending in a slash.
        sha256: SHA-256 of the manifest, in hex.
        published_at: When ``latest.json`` was written (ISO 8601, UTC).
    """

    dag_id: str
    run_id: str
    logical_date: str
    manifest: str
    prefix: str
    sha256: str
    published_at: str = ""

    def is_newer_than(self, other: Latest) -> bool:
        """Whether its logical date is later."""
        mine, theirs = map(datetime.fromisoformat, (self.logical_date, other.logical_date))
        return mine > theirs

    def same_dataset(self, other: Latest) -> bool:
        """Whether both point to the same manifest of the same run."""
        return replace(self, published_at="") == replace(other, published_at="")


def read_latest(bucket: Bucket, key: str) -> Latest | None:
    """Return the content of ``latest.json`` at ``key``, or None if there is none yet.

    Raises:
        Inconsistent: The object is not a ``latest.json`` of Fanfold.
    """
    found = read_bytes(bucket, key)
    return None if found is None else _parse(bucket, key, found[0])


def move_latest(bucket: Bucket, key: str, target: Latest) -> bool:
    """Point ``latest.json`` to a run unless it points to a later logical date.

    The write is conditional on the version that was read, so of two concurrent runs the newer one
    wins. On services without conditional writes the last write wins.

    Returns:
        Whether it points to ``target`` now.

    Raises:
        Inconsistent: The object is not a ``latest.json`` of Fanfold.
        SinkUnavailable: Concurrent writers keep replacing it.
    """
    for _ in range(_TRIES):
        found = read_bytes(bucket, key)
        present = None if found is None else _parse(bucket, key, found[0])
        if present is not None and present.is_newer_than(target):
            return False
        if present is not None and present.same_dataset(target):
            return True
        condition = {"IfNoneMatch": "*"} if found is None else {"IfMatch": found[1]}
        if _write(bucket, key, target, condition):
            return True
    raise SinkUnavailable(
        f"s3://{bucket.name}/{key} was replaced by concurrent writers {_TRIES} times in a row; "
        "clear the task."
    )


def _write(bucket: Bucket, key: str, target: Latest, condition: dict[str, str]) -> bool:
    """Write ``latest.json``; return False if the condition no longer holds."""
    moved = {**asdict(target), "published_at": utc_text(datetime.now(UTC))}
    document = {
        "Bucket": bucket.name,
        "Key": key,
        "Body": (json.dumps(moved, ensure_ascii=False, indent=1) + "\n").encode(),
        "ContentType": "application/json",
        "CacheControl": "no-cache",
    }
    with bucket.errors():
        try:
            bucket.client.put_object(**document, **condition)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status in _CONFLICT or error.response["Error"]["Code"] == "NoSuchKey":
                return False
            if status not in _UNSUPPORTED:
                raise
            bucket.client.put_object(**document)
    return True


def _parse(bucket: Bucket, key: str, data: bytes) -> Latest:
    try:
        fields: dict[str, Any] = json.loads(data)
        latest = Latest(**{name: str(value) for name, value in fields.items()})
        zone = datetime.fromisoformat(latest.logical_date).tzinfo
    except (ValueError, TypeError, AttributeError):
        zone = None
    if zone is None:
        raise Inconsistent(
            f"s3://{bucket.name}/{key} is not a latest.json of Fanfold: move it to another key, or "
            "set FANFOLD_BUCKET to a separate bucket, and clear the task."
        )
    return latest
