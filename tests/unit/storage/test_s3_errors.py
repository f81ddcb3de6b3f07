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
    "secret key": "InvalidAccessKeyId:403 SignatureDoesNotMatch:403 InvalidToken:400 401:401",
    "expired": "ExpiredToken:400",
    "region_name": (
        "AuthorizationHeaderMalformed:400 IllegalLocationConstraintException:400 "
        "PermanentRedirect:301 301:301 307:307"
    ),
}


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


_PERMANENT = {"NoCredentialsError", "PartialCredentialsError", "NoRegionError", "SSLError"}
_PERMANENT |= {"ParamValidationError"}
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
