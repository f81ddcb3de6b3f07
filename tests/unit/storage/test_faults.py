"""Every way in which S3 says no becomes an error that tells the caller what to do."""

import botocore.exceptions
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from fanfold.errors import BadConfiguration, Inconsistent, SinkUnavailable
from fanfold.storage.faults import s3_errors


def translated(error, endpoint="http://key:geheim@s3.example:9000/path"):
    with pytest.raises(Exception) as caught, s3_errors("the-bucket", endpoint):  # noqa: PT011
        raise error
    return caught.value


def answer(code, status, operation="PutObject"):
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
    )


@pytest.mark.parametrize(
    ("code", "status", "hint"),
    [
        ("NoSuchBucket", 404, "create the bucket"),
        ("InvalidBucketName", 400, "FANFOLD_BUCKET"),
        ("AccessDenied", 403, "s3:PutObject"),
        ("AllAccessDisabled", 403, "s3:PutObject"),
        ("UnauthorizedAccess", 401, "s3:PutObject"),
        ("AccountProblem", 403, "owner"),
        ("NotSignedUp", 403, "owner"),
        ("InvalidAccessKeyId", 403, "access key"),
        ("SignatureDoesNotMatch", 403, "secret key"),
        ("InvalidToken", 400, "secret key"),
        ("ExpiredToken", 400, "expired"),
        ("AuthorizationHeaderMalformed", 400, "region_name"),
        ("PermanentRedirect", 301, "region_name"),
        ("IllegalLocationConstraintException", 400, "region_name"),
        ("403", 403, "s3:PutObject"),
        ("301", 301, "region_name"),
        ("307", 307, "region_name"),
        ("401", 401, "secret key"),
        ("SomethingNew", 403, "s3:PutObject"),
    ],
)
def test_a_refusal_that_a_person_has_to_act_on_is_a_configuration_error(code, status, hint):
    error = translated(answer(code, status))
    assert type(error) is BadConfiguration
    assert hint in str(error)
    assert "'the-bucket' at http://s3.example:9000" in str(error)
    assert code in str(error)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("SlowDown", 503),
        ("ServiceUnavailable", 503),
        ("InternalError", 500),
        ("NoSuchUpload", 404),
        ("RequestTimeout", 400),
        ("RequestTimeoutException", 400),
        ("Throttling", 400),
        ("ThrottlingException", 400),
        ("TooManyRequests", 429),
        ("TooManyRequestsException", 429),
        ("RequestLimitExceeded", 403),
        ("BandwidthLimitExceeded", 503),
        ("OperationAborted", 409),
        ("RequestTimeTooSkewed", 403),
        ("ConditionalRequestConflict", 409),
        ("500", 500),
        ("502", 502),
        ("SomethingNew", 507),
        ("SomethingNew", 429),
        ("SomethingNew", 408),
        ("", 0),
    ],
)
def test_a_refusal_that_passes_is_retriable(code, status):
    assert type(translated(answer(code, status))) is SinkUnavailable


def test_a_bucket_that_is_not_there_is_named_although_head_has_no_body():
    error = translated(answer("404", 404, "HeadBucket"))
    assert type(error) is BadConfiguration
    assert "create the bucket" in str(error)


@pytest.mark.parametrize(("code", "status"), [("NoSuchKey", 404), ("404", 404), ("Teapot", 418)])
def test_a_refusal_that_nothing_explains_is_an_inconsistency(code, status):
    assert type(translated(answer(code, status, "GetObject"))) is Inconsistent


def test_a_code_made_of_anything_is_not_repeated():
    assert "<script>" not in str(translated(answer("<script>alert(1)</script>", 400)))


_ARGUMENTS = {
    "endpoint_url": "http://s3.example",
    "error": "reason",
    "proxy_url": "http://proxy.example",
    "provider": "env",
    "cred_var": "key",
    "report": "Invalid bucket name",
    "actual_bytes": 1,
    "expected_bytes": 2,
    "request": None,
}
_PERMANENT = {"NoCredentialsError", "PartialCredentialsError", "NoRegionError", "SSLError"}
_PERMANENT |= {"ParamValidationError"}
_PASSING = {
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "EndpointConnectionError",
    "HTTPClientError",
    "IncompleteReadError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "ResponseStreamingError",
}


@pytest.mark.parametrize("name", sorted(_PERMANENT | _PASSING))
def test_an_error_without_an_answer_is_retriable_unless_the_settings_cause_it(name):
    error = translated(getattr(botocore.exceptions, name)(**_ARGUMENTS))
    assert type(error) is (BadConfiguration if name in _PERMANENT else SinkUnavailable)
    assert "geheim" not in str(error)


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name, kind in vars(botocore.exceptions).items()
        if isinstance(kind, type) and issubclass(kind, botocore.exceptions.BotoCoreError)
    ),
)
def test_no_error_of_botocore_gets_through(name):
    kind = getattr(botocore.exceptions, name)
    error = translated(kind.__new__(kind))
    assert isinstance(error, BadConfiguration | SinkUnavailable)


def test_a_transfer_that_failed_is_judged_by_its_cause():
    def upload():
        try:
            raise answer("AccessDenied", 403, "UploadPart")
        except ClientError as error:
            raise S3UploadFailedError(f"Failed to upload: {error}") from None

    with (
        pytest.raises(BadConfiguration, match="UploadPart was refused with AccessDenied"),
        s3_errors("the-bucket", "http://s3.example"),
    ):
        upload()


def test_an_error_of_our_own_passes_as_it_is():
    ours = Inconsistent("as it is")
    assert translated(ours) is ours
