"""Translate errors of boto3 and botocore into Fanfold's error tree.

Codes: "Error responses", Amazon S3 API Reference. S3-compatible services use the same ones; other
codes are classified by HTTP status.
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
    EndpointProviderError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
    UnknownSignatureVersionError,
)

from fanfold.errors import BadConfiguration, FanfoldError, Inconsistent, SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING_BUCKET = "create the bucket, or correct its name (FANFOLD_BUCKET, or the URI of the files)"
_DENIED = (
    "the key of the S3 connection needs s3:ListBucket and s3:GetObject there, and to publish "
    "s3:PutObject and s3:DeleteObject"
)
_KEYS = "check access key and secret key of the S3 connection"
_SIGNATURE = (
    "the secret key of the S3 connection is not that of its access key, or a proxy in front of the "
    "service changes the requests"
)
_NO_REASON = f"the service, or a proxy in front of it, gives no reason: {_KEYS}; {_DENIED}"
NO_S3 = (
    "the answer is not that of an S3 service: correct endpoint_url of the S3 connection (scheme, host, port), "
    "or the proxy in front of the service"
)
_STYLE = (
    "the service wants the bucket in the host name: set config_kwargs in the extra of the S3 connection "
    'to {"s3": {"addressing_style": "virtual"}}'
)
_DIALECT = (
    "the service does not know a part of the request, often the checksum: set config_kwargs in the extra "
    'of the S3 connection to {"request_checksum_calculation": "when_required"}, and see '
    "docs/object-storage.md"
)
_PROXY = "`proxies` in config_kwargs of the S3 connection, HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
_REGION = "set region_name and endpoint_url of the S3 connection to those of the bucket"

_CONFIGURATION = {
    "NoSuchBucket": _MISSING_BUCKET,
    "InvalidBucketName": "set FANFOLD_BUCKET to a valid bucket name",
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "UnauthorizedAccess": _DENIED,
    "AccountProblem": "the account of the S3 connection is blocked: ask its owner",
    "NotSignedUp": "the account of the S3 connection is not signed up for S3: ask its owner",
    "InvalidAccessKeyId": "the service does not know the access key of the S3 connection",
    "SignatureDoesNotMatch": _SIGNATURE,
    "InvalidToken": _KEYS,
    "ExpiredToken": "the session token of the S3 connection has expired: create a new one",
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
    # Of Tencent COS, Aliyun OSS and Huawei OBS.
    "PathStyleDomainForbidden": _STYLE,
    "SecondLevelDomainForbidden": _STYLE,
    "VirtualHostDomainRequired": _STYLE,
    "InvalidArgument": _DIALECT,
    "NotImplemented": _DIALECT,
    "XAmzContentSHA256Mismatch": _DIALECT,
}
"""Codes that need manual action."""
_BY_STATUS = {
    301: _REGION,
    307: _REGION,
    401: _KEYS,
    403: _DENIED,
    413: "a proxy in front of the service limits the size of a request: raise its limit to 128 MiB "
    "(client_max_body_size of nginx)",
}

_UNAVAILABLE = frozenset(
    {
        "BandwidthLimitExceeded",
        "ConditionalRequestConflict",
        "InternalError",
        # The service lost the parts of an upload, perhaps in a restart: a retry starts a new one.
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
"""Codes of transient errors, whatever their HTTP status."""
_BAD_CHECKSUM = frozenset({"BadDigest", "XAmzContentChecksumMismatch"})
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
"""Wider than the rule of S3, for other services; boto also takes ARNs, which have no `latest.json` of ours."""
_SKEW = timedelta(minutes=15)
"""Clock difference that S3 accepts. Source: "Authenticating Requests", Amazon S3 API Reference."""

_CONFIGURATION_BY_TYPE = {
    NoCredentialsError: f"no access key is set; {_KEYS}",
    PartialCredentialsError: f"the access key is incomplete; {_KEYS}",
    NoRegionError: f"no region is set; {_REGION}",
    EndpointProviderError: "endpoint_url or region_name of the S3 connection is malformed",
    UnknownSignatureVersionError: (
        "signature_version in config_kwargs of the S3 connection is unknown; use s3v4, or s3 for "
        "version 2"
    ),
}
"""Errors that botocore raises without a response and that need manual action."""


@contextmanager
def s3_errors(bucket: str, endpoint: str) -> Iterator[None]:
    """Translate all errors of boto3 and botocore inside the block.

    Raises:
        BadConfiguration: Bucket, permissions, keys, region or certificate are wrong.
        SinkUnavailable: The service is unavailable, overloaded or slow.
        Inconsistent: An object that must exist is missing, or the service rejects a request for
            another reason than its configuration.
    """
    if not _BUCKET.fullmatch(bucket):
        raise BadConfiguration(
            f"{bucket!r} is not the name of a bucket: use its name, not its ARN or that of an access point "
            "(FANFOLD_BUCKET, or the URI of the files)."
        )
    try:
        yield
    except RecursionError:  # boto follows a redirect by a request that is redirected, too
        raise BadConfiguration(
            f"Bucket {bucket!r} at {shown(endpoint)} redirects each request: {NO_S3}."
        ) from None
    except (BotoCoreError, ClientError, Boto3Error) as error:
        cause = _cause(error)
        # What the HTTP library did not expect may be a header or the address of a proxy, with a password.
        chained = None if type(cause) is HTTPClientError else error
        raise translate(cause, f"Bucket {bucket!r} at {shown(endpoint)}") from chained


def _cause(error: Exception) -> Exception:
    # boto3's transfers wrap the cause in an error of their own and keep only its text.
    while isinstance(error, Boto3Error) and isinstance(error.__context__, Exception):
        error = error.__context__
    return error


def shown(endpoint: str) -> str:
    """Return scheme, host and port: the endpoint of a connection may contain a password."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def translate(error: Exception, where: str) -> FanfoldError:
    """Return the error of Fanfold for one of boto3; its message begins with ``where``."""
    if isinstance(error, ClientError):
        return _translate_response(error.response, error.operation_name, where)
    for kind, hint in _CONFIGURATION_BY_TYPE.items():
        if isinstance(error, kind):
            return BadConfiguration(f"{where}: {hint}.")
    known = getattr(error, "kwargs", {})  # of botocore: what the error is about, and its cause
    cause = known.get("error")
    if isinstance(error, SSLError):
        return BadConfiguration(f"{where}: {_tls_fault(str(cause))}.")
    proxy = str(known.get("proxy_url"))
    # botocore puts http:// before any other scheme.
    if isinstance(cause, AttributeError | TypeError | ValueError) or proxy.count("://") > 1:
        return BadConfiguration(
            f"{where}: a proxy is malformed or not of http(s), or a number of config_kwargs is none; correct "
            f"{_PROXY}."
        )
    if isinstance(error, ProxyConnectionError):
        return SinkUnavailable(
            f"{where}: the proxy {shown(proxy)} cannot be reached; check {_PROXY}."
        )
    asked = shown(known.get("endpoint_url") or "")
    if asked not in where and asked != "://":
        where += f" ({asked})"  # the bucket is in the host name
    proxies = f", and {_PROXY}" if type(error) is HTTPClientError else ""
    return SinkUnavailable(
        f"{where} cannot be reached, or the connection was lost ({type(error).__name__}); check that the "
        f"service runs and that endpoint_url of the S3 connection is right{proxies}."
    )


def _tls_fault(cause: str) -> str:
    """Return what is wrong with TLS, by the text of the error: it has no code."""
    if "No such file" in cause:
        return "there is no CA file; correct `verify` in the extra of the S3 connection, or AWS_CA_BUNDLE"
    if "WRONG_VERSION_NUMBER" in cause or "RECORD_LAYER" in cause:
        return (
            "the server does not speak TLS at this port; correct scheme and port of endpoint_url in the "
            "S3 connection"
        )
    return (
        "the certificate is not trusted or the TLS handshake failed; set `verify` in the extra of the S3 "
        "connection, or AWS_CA_BUNDLE, to the CA file of the service"
    )


def _is_clock_skewed(response: Any) -> bool:
    """Whether the Date header differs from this machine's clock; HEAD has no error code for it."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        written = parsedate_to_datetime(date).replace(tzinfo=UTC)  # HTTP dates are in GMT
    except ValueError:
        return False
    return abs(datetime.now(UTC) - written) > _SKEW


def _translate_response(response: Any, operation: str, where: str) -> FanfoldError:
    code = str(response.get("Error", {}).get("Code", ""))
    if not _CODE.fullmatch(code):
        code = ""  # arbitrary text from the server stays out of messages
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if not status and code.isdecimal():
        status = int(code)
    failed = f"{where}: {operation} failed with {code or status}"
    if code == "RequestTimeTooSkewed" or (
        status == 403 and code not in _CONFIGURATION and _is_clock_skewed(response)
    ):
        return SinkUnavailable(
            f"{failed}: the clocks of this machine and of the service differ by more than "
            "15 minutes. Synchronize this machine's clock (NTP). If the task is out of retries, "
            "clear it."
        )
    hint = _hint(code, status, operation)
    if hint:
        return BadConfiguration(f"{failed}; {hint}.")
    if code in _UNAVAILABLE or status >= 500 or status in {0, 408, 429}:
        return SinkUnavailable(
            f"{failed}; the service is overloaded. If the task is out of retries, clear it later."
        )
    if status == 404:
        return Inconsistent(
            f"{failed}: an object that was uploaded earlier is missing; clear `publish` with its "
            "downstream tasks."
        )
    if code in _BAD_CHECKSUM:
        return Inconsistent(f"{failed}: the data was damaged in transit; clear the task.")
    return Inconsistent(
        f"{failed}, which is not a known configuration error; see the manual of the service."
    )


def _hint(code: str, status: int, operation: str) -> str | None:
    """Return what to correct, or None if that is not the configuration."""
    if code == "AccessDenied" and operation.startswith("AssumeRole"):
        return "check role_arn in the extra of the connection, and which keys the role trusts"
    if code in _CONFIGURATION or code in _UNAVAILABLE:
        return _CONFIGURATION.get(code)
    # Responses to HEAD have no body, so no code.
    if status == 404 and operation == "PutObject":
        return _STYLE  # it took the bucket in the path for a part of the key
    no_code = not code or code.isdecimal()
    if status == 403 and no_code:
        return _NO_REASON
    is_page = no_code and not operation.startswith("Head")  # S3 has a code for each of its errors
    if is_page and (status in {302, 400, 405, 501} or (status == 404 and "List" in operation)):
        return NO_S3
    return _BY_STATUS.get(status)
