"""``<dag_id>/latest.json``: the location of the newest complete dataset.

Readers start at this object; it is replaced in one conditional write.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from fanfold.errors import SinkUnavailable
from fanfold.model import utc_text
from fanfold.stages.publishing.conditions import IfMatch, Written, check_bucket, put_if
from fanfold.storage.objects import read_bytes
from fanfold.storage.published import Latest

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

    from fanfold.storage.objects import Bucket

_TRIES = 5

NO_LOCK = nullcontext()


def move_latest(
    bucket: Bucket,
    key: str,
    target: Latest,
    bases: Collection[str] | None = None,
    lock: AbstractContextManager[Any] = NO_LOCK,
) -> bool:
    """Point ``latest.json`` to a run unless it points to a later logical date.

    The write is conditional on the version that was read, so of two concurrent runs the newer one
    wins. Where a service has no conditional writes (:class:`.IfMatch`), only the lock keeps one run
    from overwriting the other, and the last write wins if two installations that do not share the
    lock publish under the same key, or if the write of a killed task arrives after that of the next
    one. A merged dataset would then lack the rows of one of the two runs.

    Args:
        bucket: The bucket.
        key: Key of ``latest.json``.
        target: What it shall point to.
        bases: For a merged dataset, instead of the dates: SHA-256 of the manifests that it may point
            to before; empty text: to nothing.
        lock: Held while it is read, compared and written.

    Returns:
        Whether it points to ``target`` now.

    Raises:
        Inconsistent: The object is not a ``latest.json`` of Fanfold.
        SinkUnavailable: Concurrent writers keep replacing it, the service refuses to replace it, or
            another task holds the lock.
    """
    try:
        with lock:
            return _move(bucket, key, target, bases)
    except Timeout as error:
        raise SinkUnavailable(
            f"Another task has been writing s3://{bucket.name}/{key} for too long: it holds the lock "
            f"{error.lock_file}. If no other task runs `publish`, end the process that does; clear "
            "the task."
        ) from error


def _move(bucket: Bucket, key: str, target: Latest, bases: Collection[str] | None) -> bool:
    if_match, refused = IfMatch.QUOTED, False
    etags: set[str | None] = set()
    for _ in range(_TRIES):
        found = read_bytes(bucket, key)
        present = None if found is None else Latest.parse(bucket, key, found[0])
        if not may_follow(present, target, bases):
            return False
        if present is not None and present.same_dataset(target):
            return True
        etag = None if found is None else found[1]
        if refused and etag in etags:
            # Unchanged since it was read: the service may want the ETag in another form.
            if_match = check_bucket(bucket)
        etags.add(etag)
        written = _write(bucket, key, target, if_match.condition(etag))
        if written is Written.UNSUPPORTED:
            written = _write(bucket, key, target, {})
        if written is Written.YES:
            return True
        refused = written is Written.REFUSED
    if len(etags) > 1 or not refused:
        raise SinkUnavailable(
            f"s3://{bucket.name}/{key} was replaced by concurrent writers {_TRIES} times in a row; "
            "clear the task."
        )
    raise SinkUnavailable(
        f"The service at {bucket.endpoint} refused {_TRIES} times to replace s3://{bucket.name}/{key}, "
        "although no other writer replaced it; look for a rule of the bucket that protects it, and "
        "clear the task."
    )


def may_follow(present: Latest | None, target: Latest, bases: Collection[str] | None) -> bool:
    """Return whether ``latest.json`` may move from ``present`` to ``target``, as for ``move_latest``."""
    if bases is not None:
        return (present.sha256 if present else "") in bases
    return present is None or not present.is_newer_than(target)


def _write(bucket: Bucket, key: str, target: Latest, condition: dict[str, str]) -> Written:
    moved = {**asdict(target), "published_at": utc_text(datetime.now(UTC))}
    return put_if(
        bucket,
        condition,
        Key=key,
        Body=(json.dumps(moved, ensure_ascii=False, indent=1) + "\n").encode(),
        ContentType="application/json",
        CacheControl="no-cache",
    )
