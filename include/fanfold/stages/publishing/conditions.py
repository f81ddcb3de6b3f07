"""Conditional writes: does a service have them, and how does it want the ETag?

Amazon S3 takes the ETag as it gave it, in quotes (RFC 9110). Ceph RGW (tried: 16.2) and services that are
built on it compare the header as it is with the bare ETag: there ``If-Match`` only holds without quotes
(ceph/ceph#63348). Others reject the condition, or ignore it without a word (``rclone serve s3``).
"""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from fanfold.errors import BadConfiguration
from fanfold.storage.objects import put_bytes, read_bytes
from fanfold.storage.s3_errors import NO_S3

if TYPE_CHECKING:
    from fanfold.storage.objects import Bucket

_PROBES = ".fanfold-preflight/"
_CONTENT = b"fanfold"
_OTHER = '"00000000000000000000000000000000"'
"""The ETag of no object."""


class IfMatch(StrEnum):
    """How a service takes the ETag in ``If-Match``."""

    QUOTED = "quoted"
    BARE = "bare"
    NONE = "none"
    """It has no conditional writes."""

    def condition(self, etag: str | None) -> dict[str, str]:
        """Return the arguments of ``put_object`` for an object with this ETag; None: for no object."""
        if self is IfMatch.NONE:
            return {}
        if etag is None:
            return {"IfNoneMatch": "*"}
        if self is IfMatch.BARE:
            etag = etag.removeprefix("W/").strip('"')  # W/: a proxy has compressed it
        return {"IfMatch": etag}


class Written(StrEnum):
    """The result of a conditional write."""

    YES = "yes"
    REFUSED = "refused"
    """The condition does not hold."""
    CONFLICT = "conflict"
    """Another write is under way."""
    UNSUPPORTED = "unsupported"
    """The service rejects the condition, or the whole request."""


_RESULTS = {
    400: Written.UNSUPPORTED,
    405: Written.UNSUPPORTED,
    409: Written.CONFLICT,
    412: Written.REFUSED,
    501: Written.UNSUPPORTED,
}
"""Results by HTTP status."""


def put_if(bucket: Bucket, condition: dict[str, str], **document: Any) -> Written:
    """Write an object if a condition of :class:`IfMatch` holds.

    Raises:
        BadConfiguration: The bucket is missing or access is denied.
        SinkUnavailable: The service is unavailable.
    """
    with bucket.errors():
        try:
            bucket.client.put_object(Bucket=bucket.name, **document, **condition)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            gone = error.response["Error"]["Code"] == "NoSuchKey"
            if not condition or (status not in _RESULTS and not gone):
                raise
            return Written.REFUSED if gone else _RESULTS[status]
    return Written.YES


def check_bucket(bucket: Bucket) -> IfMatch:
    """Check that a bucket exists and that its objects can be listed, written, read and deleted.

    Returns:
        What its conditional writes are like.

    Raises:
        BadConfiguration: The bucket is missing or a permission is missing; the message names
            bucket, endpoint and what to change.
        SinkUnavailable: The service is unavailable.
    """
    with bucket.errors():
        # Needs the same permission as HEAD, whose answer does not say why it is refused.
        listed = bucket.client.list_objects_v2(Bucket=bucket.name, MaxKeys=1)
    if listed.keys().isdisjoint({"Name", "IsTruncated"}):
        raise BadConfiguration(f"Bucket {bucket.name!r} at {bucket.endpoint}: {NO_S3}.")
    key = f"{_PROBES}{secrets.token_hex(16)}"
    put_bytes(bucket, key, _CONTENT)  # as `publish` does
    try:
        found = read_bytes(bucket, key)
        if found is None or found[0] != _CONTENT:
            raise BadConfiguration(
                f"Bucket {bucket.name!r} does not return an object that was just written; use a "
                "service with read-after-write consistency."
            )
        return _if_match(bucket, key, found[1])
    finally:
        with bucket.errors():
            bucket.client.delete_object(Bucket=bucket.name, Key=key)


def _if_match(bucket: Bucket, key: str, etag: str) -> IfMatch:
    """Return the form in which the ETag is accepted while another ETag is refused."""
    for form in (IfMatch.QUOTED, IfMatch.BARE):
        if put_if(bucket, form.condition(_OTHER), Key=key, Body=_CONTENT) is not Written.REFUSED:
            return IfMatch.NONE
        if put_if(bucket, form.condition(etag), Key=key, Body=_CONTENT) is Written.YES:
            return form
    return IfMatch.NONE
