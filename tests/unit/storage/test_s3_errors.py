"""Every error of S3 is translated, by what the caller can do about it."""

import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import botocore.exceptions
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from fanfold.errors import BadConfiguration, Inconsistent, SinkUnavailable
from fanfold.storage.s3_errors import s3_errors


def translated(error, endpoint="http://key:geheim@s3.example:9000/path"):
    with pytest.raises(Exception) as caught, s3_errors("the-bucket", endpoint):  # noqa: PT011
        raise error
    return caught.value


def answer(code, status, operation="PutObject"):
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
    )


CONFIGURATION = {
    "create the bucket": "NoSuchBucket:404",
    "FANFOLD_BUCKET": "InvalidBucketName:400",
    "s3:PutObject": (
        "AccessDenied:403 AllAccessDisabled:403 UnauthorizedAccess:401 403:403 SomethingNew:403"
    ),
    "owner": "AccountProblem:403 NotSignedUp:403",
    "does not know the access key": "InvalidAccessKeyId:403",
    "secret key": "SignatureDoesNotMatch:403 InvalidToken:400 401:401",
    "addressing_style": "SecondLevelDomainForbidden:403 PathStyleDomainForbidden:403 VirtualHostDomainRequired:400 NoSuchKey:404",
    "when_required": "InvalidArgument:400 NotImplemented:501 XAmzContentSHA256Mismatch:400",
    "expired": "ExpiredToken:400",
    "region_name": (
        "AuthorizationHeaderMalformed:400 IllegalLocationConstraintException:400 "
        "PermanentRedirect:301 301:301 307:307"
    ),
}


@pytest.mark.parametrize(
    ("status", "operation", "hint"),
    [
        *((status, "PutObject", "not that of an S3 service") for status in (302, 400, 405, 501)),
        (404, "ListObjectsV2", "not that of an S3 service"),
        (413, "PutObject", "limits the size of a request"),
        (403, "ListObjectsV2", "or a proxy in front of it, gives no reason"),
    ],
)
def test_the_page_of_a_proxy_or_of_another_service_is_told_apart(status, operation, hint):
    """It has no code, where boto puts the status; the answer to HEAD never has one."""
    error = translated(answer(str(status), status, operation))
    assert type(error) is BadConfiguration
    assert hint in str(error)
    head = translated(answer(str(status), status, "HeadObject"))
    assert "not that of an S3 service" not in str(head)


def test_an_endpoint_that_redirects_each_request_is_named():
    """boto asks for the region of the bucket after a redirect, and is redirected again."""
    error = translated(RecursionError())
    assert type(error) is BadConfiguration
    assert "http://s3.example:9000 redirects each request" in str(error)
    assert error.__suppress_context__


@pytest.mark.parametrize("hint", CONFIGURATION)
def test_an_error_that_needs_manual_action_is_a_configuration_error(hint):
    for case in CONFIGURATION[hint].split():
        code, status = case.split(":")
        error = translated(answer(code, int(status)))
        assert type(error) is BadConfiguration, code
        assert hint in str(error), code
        assert f"'the-bucket' at http://s3.example:9000: PutObject failed with {code};" in str(
            error
        )


TRANSIENT = {
    0: [""],
    400: ["RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException"],
    403: ["RequestLimitExceeded", "RequestTimeTooSkewed"],
    404: ["NoSuchUpload"],
    408: ["SomethingNew"],
    409: ["OperationAborted", "ConditionalRequestConflict"],
    429: ["TooManyRequests", "TooManyRequestsException", "SomethingNew"],
    500: ["500", "InternalError"],
    502: ["502"],
    503: ["SlowDown", "ServiceUnavailable", "BandwidthLimitExceeded"],
    507: ["SomethingNew"],
}


@pytest.mark.parametrize("status", TRANSIENT)
def test_a_transient_error_is_retriable(status):
    for code in TRANSIENT[status]:
        assert type(translated(answer(code, status))) is SinkUnavailable, code


@pytest.mark.parametrize("hours", [1, -1])
def test_a_request_that_s3_finds_too_old_or_too_new_is_retriable(hours):
    """HEAD has no body with an error code: the answer's Date shows the difference."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    error = answer("403", 403, "HeadBucket")
    error.response["ResponseMetadata"]["HTTPHeaders"] = {"date": date}
    ours = translated(error)
    assert type(ours) is SinkUnavailable
    assert "Synchronize this machine's clock" in str(ours)


@pytest.mark.parametrize(("code", "status"), [("NoSuchKey", 404), ("404", 404), ("Teapot", 418)])
def test_any_other_error_is_inconsistent(code, status):
    assert type(translated(answer(code, status, "GetObject"))) is Inconsistent


def test_data_that_was_damaged_in_transit_may_be_sent_again():
    for code in ("BadDigest", "XAmzContentChecksumMismatch"):
        error = translated(answer(code, 400))
        assert type(error) is Inconsistent, code
        assert "clear the task" in str(error)


def test_arbitrary_text_in_a_code_is_not_repeated():
    assert "<script>" not in str(translated(answer("<script>alert(1)</script>", 400)))


def test_a_role_that_is_refused_is_not_told_as_missing_permissions_for_the_bucket():
    error = translated(answer("AccessDenied", 403, "AssumeRole"))
    assert type(error) is BadConfiguration
    assert "role_arn" in str(error)
    assert "s3:" not in str(error)


def test_a_refused_head_gives_no_reason():
    error = translated(answer("403", 403, "HeadObject"))
    assert type(error) is BadConfiguration
    for part in ("no reason", "secret key", "s3:GetObject"):
        assert part in str(error)


# fmt: off
NO_NAMES = [
    "", "a/b", "a b", "a\n", "arn:aws:s3:us-east-1:123456789012:accesspoint/orders",
    "arn:aws:s3:us-east-1:123456789012:accesspoint:orders", "arn:aws:iam::123456789012:root",
    "123456789012:orders",
]
# fmt: on


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_not_the_name_of_a_bucket_is_refused_before_a_request(name):
    """boto takes an ARN, and asks another host."""
    with (
        pytest.raises(BadConfiguration, match="is not the name of a bucket") as caught,
        s3_errors(name, "http://s3.example"),
    ):
        pytest.fail("it was asked")
    assert "FANFOLD_BUCKET" in str(caught.value)


PROXY = "http://me:geheim@proxy.example:1"
TRANSPORT = {
    "no CA file": botocore.exceptions.SSLError(
        endpoint_url="https://s3.example", error=FileNotFoundError(2, "No such file or directory")
    ),
    "does not speak TLS": botocore.exceptions.SSLError(
        endpoint_url="https://s3.example", error="[SSL: WRONG_VERSION_NUMBER] wrong version number"
    ),
    "not trusted": botocore.exceptions.SSLError(
        endpoint_url="https://s3.example", error="CERTIFICATE_VERIFY_FAILED"
    ),
    "a number of config_kwargs is none": botocore.exceptions.HTTPClientError(
        error=ValueError(f"Failed to parse: {PROXY}")
    ),
    "a proxy is malformed or not of http(s)": botocore.exceptions.ProxyConnectionError(
        proxy_url=f"http://{PROXY.replace('http', 'socks5')}", error=OSError("not known")
    ),
    "signature_version": botocore.exceptions.UnknownSignatureVersionError(signature_version="v9"),
    "endpoint_url": botocore.exceptions.EndpointResolutionError(msg="not a valid URI"),
}


@pytest.mark.parametrize("told", TRANSPORT)
def test_what_a_retry_cannot_mend_in_a_connection_is_told(told):
    error = translated(TRANSPORT[told])
    assert type(error) is BadConfiguration
    assert told in str(error)
    assert "geheim" not in str(error)


def test_an_unreachable_host_or_proxy_is_named():
    """With the bucket in the host name, the host is not that of the endpoint."""
    refused = botocore.exceptions.ProxyConnectionError(proxy_url=PROXY, error=OSError("refused"))
    asked = "https://the-bucket.s3.example/key?secret"
    unknown = botocore.exceptions.EndpointConnectionError(endpoint_url=asked, error=OSError())
    for error, host in (
        (refused, "proxy http://proxy.example:1 "),
        (unknown, "(https://the-bucket.s3.example)"),
    ):
        ours = translated(error)
        assert type(ours) is SinkUnavailable
        assert host in str(ours)
        assert "geheim" not in str(ours)


_PERMANENT = {"NoCredentialsError", "PartialCredentialsError", "NoRegionError", "SSLError"}
_PERMANENT |= {"EndpointProviderError", "UnknownSignatureVersionError"}
_TRANSIENT = {
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "EndpointConnectionError",
    "HTTPClientError",
    "IncompleteReadError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "ResponseStreamingError",
}


def test_every_error_of_botocore_is_retriable_unless_settings_cause_it():
    base = botocore.exceptions.BotoCoreError
    kinds = [
        kind
        for kind in vars(botocore.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, base)
    ]
    assert len(kinds) > 50
    expected = dict.fromkeys(_PERMANENT, BadConfiguration) | dict.fromkeys(
        _TRANSIENT, SinkUnavailable
    )
    assert expected.keys() <= {kind.__name__ for kind in kinds}
    for kind in kinds:
        error = translated(kind.__new__(kind))
        assert isinstance(error, expected.get(kind.__name__, BadConfiguration | SinkUnavailable)), (
            kind
        )
        assert "geheim" not in str(error)


def test_a_failed_transfer_is_classified_by_its_cause():
    def upload():
        try:
            raise answer("AccessDenied", 403, "UploadPart")
        except ClientError as error:
            raise S3UploadFailedError(f"Failed to upload: {error}") from None

    with (
        pytest.raises(BadConfiguration, match="UploadPart failed with AccessDenied"),
        s3_errors("the-bucket", "http://s3.example"),
    ):
        upload()


def test_an_error_of_fanfold_is_not_changed():
    ours = Inconsistent("unchanged")
    assert translated(ours) is ours


def test_what_the_http_library_did_not_expect_is_in_no_traceback():
    """It may be a header, or the address of a proxy with its password."""
    kind = botocore.exceptions.HTTPClientError
    ours = translated(kind(error=ValueError("Invalid header value b's3cret\\n'")))
    assert "HTTPS_PROXY" in str(ours)
    assert "s3cret" not in "".join(traceback.format_exception(ours))
