"""``<dag_id>/latest.json``: where the newest complete dataset lies.

It is the only object that readers have to trust, and it is moved in one write.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fanfold.errors import Inconsistent, SinkUnavailable
from fanfold.model import utc_text
from fanfold.storage.objects import put_bytes, read_bytes

if TYPE_CHECKING:
    from fanfold.storage.objects import Bucket

_TRIES = 5
_OVERTAKEN = {409, 412}
"""How S3 says that a condition does not hold, or that another write is under way."""
_WITHOUT_CONDITIONS = {400, 405, 501}
"""How services say that they know no conditions. A plain write shows whether that was it."""


@dataclass(frozen=True, slots=True)
class Latest:
    """What ``latest.json`` says.

    Attributes:
        dag_id: The DAG.
        run_id: The run whose dataset it is.
        logical_date: The date that the run stands for (ISO 8601, UTC).
        manifest: Key of the manifest.
        prefix: Prefix of all objects of the run, ending in a slash.
        sha256: SHA-256 of the manifest, in hex.
        published_at: When it was moved (ISO 8601, UTC).
    """

    dag_id: str
    run_id: str
    logical_date: str
    manifest: str
    prefix: str
    sha256: str
    published_at: str = ""

    def is_newer_than(self, other: Latest) -> bool:
        """Whether it stands for a later date."""
        return datetime.fromisoformat(self.logical_date) > datetime.fromisoformat(
            other.logical_date
        )

    def same_dataset(self, other: Latest) -> bool:
        """Whether both point to the same manifest of the same run."""
        return {**asdict(self), "published_at": ""} == {**asdict(other), "published_at": ""}


def read_latest(bucket: Bucket, key: str) -> Latest | None:
    """Return what ``latest.json`` at ``key`` says, or None where there is none yet.

    Raises:
        Inconsistent: It is there and is not ours.
    """
    found = read_bytes(bucket, key)
    return None if found is None else _parse(bucket, key, found[0])


def move_latest(bucket: Bucket, key: str, target: Latest) -> bool:
    """Point ``latest.json`` to a run, unless it points to one of a later date.

    The write is conditional on what was read, so that of two runs that publish at once the newer
    wins. Services without conditional writes ignore the condition or refuse it; there the order
    of the two decides.

    Returns:
        Whether it points to ``target`` now.

    Raises:
        Inconsistent: What lies there is not a ``latest.json``.
        SinkUnavailable: Others keep moving it.
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
        f"s3://{bucket.name}/{key} was moved by others {_TRIES} times in a row; clear the task."
    )


def _write(bucket: Bucket, key: str, target: Latest, condition: dict[str, str]) -> bool:
    """Write ``latest.json`` and read it back; False where the condition no longer holds."""
    moved = {**asdict(target), "published_at": utc_text(datetime.now(UTC))}
    data = (json.dumps(moved, ensure_ascii=False, indent=1) + "\n").encode()
    with bucket.errors():
        try:
            bucket.client.put_object(
                Bucket=bucket.name,
                Key=key,
                Body=data,
                ContentType="application/json",
                CacheControl="no-cache",
                **condition,
            )
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status in _OVERTAKEN or error.response["Error"]["Code"] == "NoSuchKey":
                return False
            if status not in _WITHOUT_CONDITIONS:
                raise
        else:
            return True
    put_bytes(bucket, key, data)
    return True


def _parse(bucket: Bucket, key: str, data: bytes) -> Latest:
    try:
        fields: dict[str, Any] = json.loads(data)
        latest = Latest(**{name: str(value) for name, value in fields.items()})
        moment = datetime.fromisoformat(latest.logical_date)
    except (ValueError, TypeError, AttributeError) as error:
        raise _foreign(bucket, key) from error
    if moment.tzinfo is None:
        raise _foreign(bucket, key)
    return latest


def _foreign(bucket: Bucket, key: str) -> Inconsistent:
    return Inconsistent(
        f"s3://{bucket.name}/{key} is not a latest.json of Fanfold: move it away, or set "
        "FANFOLD_BUCKET to a bucket of its own, and clear the task."
    )
