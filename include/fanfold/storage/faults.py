"""What an S3 service refuses, and what the caller can do about it: the one place that decides.

Codes from "Error responses", Amazon S3 API Reference. Other services that speak S3 use the same
ones; what is not in the table is decided by its HTTP status.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    SSLError,
)

from fanfold.errors import BadConfiguration, FanfoldError, Inconsistent, SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING_BUCKET = "create the bucket, or set FANFOLD_BUCKET to one that exists"
_DENIED = (
    "the key of the S3 connection needs s3:ListBucket, s3:GetObject, s3:PutObject and "
    "s3:DeleteObject there"
)
_KEYS = "check access key and secret key of the S3 connection"
_REGION = "set region_name and endpoint_url of the S3 connection to those of the bucket"

_CONFIGURATION = {
    "NoSuchBucket": _MISSING_BUCKET,
    "InvalidBucketName": "set FANFOLD_BUCKET to the name of a bucket",
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "UnauthorizedAccess": _DENIED,
    "AccountProblem": "the account of the S3 connection is blocked: ask its owner",
    "NotSignedUp": "the account of the S3 connection has no S3: ask its owner",
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "InvalidToken": _KEYS,
    "ExpiredToken": "the session token of the S3 connection has expired: make a new one",
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
}
"""Codes that a person has to act on, and how."""

_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_UNAVAILABLE = frozenset(
    {
        "BandwidthLimitExceeded",
        "ConditionalRequestConflict",
        "InternalError",
        # The service forgot the parts of an upload, perhaps with its restart: it begins again.
        "NoSuchUpload",
        "OperationAborted",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
"""Codes that pass by themselves, whatever their HTTP status."""
_CLOCK = "RequestTimeTooSkewed"
"""A clock that jumped is set right again within minutes where NTP runs."""
_SKEW = timedelta(minutes=15)
"""What S3 tolerates. Source: "Authenticating Requests", Amazon S3 API Reference."""

_BY_STATUS = {
    301: _REGION,
    307: _REGION,
    401: _KEYS,
    403: _DENIED,
}

_CONFIGURATION_BY_TYPE = {
    NoCredentialsError: f"no access key is set; {_KEYS}",
    PartialCredentialsError: f"the access key is incomplete; {_KEYS}",
    NoRegionError: f"no region is set; {_REGION}",
    ParamValidationError: "this is no name of a bucket; set FANFOLD_BUCKET",
    SSLError: (
        "the TLS handshake failed; check scheme and port of endpoint_url in the S3 connection, and "
        "`verify` in its extra"
    ),
}
"""Errors that botocore raises before any answer, for which a person has to act, and how."""


@contextmanager
def s3_errors(bucket: str, endpoint: str) -> Iterator[None]:
    """Turn every error of boto3 and botocore inside the block into one of ours.

    Args:
        bucket: The bucket that the block speaks to.
        endpoint: The address of the service.

    Raises:
        BadConfiguration: Bucket, permissions, keys, region or certificate are wrong.
        SinkUnavailable: The service is away, overloaded or slow.
        Inconsistent: An object that has to be there is gone, or the service refuses a request that
            no configuration explains.
    """
    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise _translate(_cause(error), f"Bucket {bucket!r} at {_shown(endpoint)}") from error


def _cause(error: Exception) -> Exception:
    # boto3's transfers wrap what went wrong in an error of their own and keep only its text.
    while isinstance(error, Boto3Error) and isinstance(error.__context__, Exception):
        error = error.__context__
    return error


def _shown(endpoint: str) -> str:
    """Return scheme, host and port: an endpoint in a connection may carry a password."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _translate(error: Exception, where: str) -> FanfoldError:
    if isinstance(error, ClientError):
        return _translate_answer(error.response, error.operation_name, where)
    for kind, hint in _CONFIGURATION_BY_TYPE.items():
        if isinstance(error, kind):
            return BadConfiguration(f"{where}: {hint}.")
    return SinkUnavailable(
        f"{where} cannot be reached, or the connection broke ({type(error).__name__}); check that "
        "the service runs and that endpoint_url of the S3 connection is right."
    )


def _clock_is_off(response: Any) -> bool:
    """Whether an answer was written at another time than it came. HEAD's answers say no more."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        written = parsedate_to_datetime(date).replace(tzinfo=UTC)  # HTTP knows GMT only
    except ValueError:
        return False
    return abs(datetime.now(UTC) - written) > _SKEW


def _translate_answer(response: Any, operation: str, where: str) -> FanfoldError:
    code = str(response.get("Error", {}).get("Code", ""))
    if not _CODE.fullmatch(code):
        code = ""  # what a stranger wrote belongs in no message
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if not status and code.isdecimal():
        status = int(code)
    said = f"{operation} was refused with {code or status}"
    if code == _CLOCK or (status == 403 and code not in _CONFIGURATION and _clock_is_off(response)):
        return SinkUnavailable(
            f"{where}: {said}: the clocks of this machine and of the service differ by more than "
            "15 minutes. Set this machine's (NTP does), and clear the task if it is not retried "
            "any more."
        )
    hint = _CONFIGURATION.get(code)
    if hint is None and code not in _UNAVAILABLE:
        # What has no body has no code: HEAD on a bucket that is not there answers a bare 404.
        headless = operation == "HeadBucket" and status == 404
        hint = _MISSING_BUCKET if headless else _BY_STATUS.get(status)
    if hint:
        return BadConfiguration(f"{where}: {said}; {hint}.")
    if code in _UNAVAILABLE or status >= 500 or status in {0, 408, 429}:
        return SinkUnavailable(
            f"{where}: {said}; the service is overloaded. Clear the task later, if it is not "
            "retried any more."
        )
    if status == 404:
        return Inconsistent(
            f"{where}: {said}: an object that was written before is gone; clear `publish` with its "
            "downstream tasks."
        )
    return Inconsistent(
        f"{where}: {said}, which no setting of Fanfold explains; look the code up in the manual "
        "of the service."
    )
