"""``config_kwargs`` and other extra of ``aws_default``: what reaches the wire, and what is refused."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import pytest
from botocore.awsrequest import AWSResponse

from fanfold.errors import BadConfiguration
from fanfold.stages.publishing import check_bucket
from fanfold.storage.objects import put_bytes

# Airflow and its providers warn about themselves.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("airflow_home")]

OSS = "https://s3.oss-cn-hangzhou.aliyuncs.com"


class Sent(Exception):  # noqa: N818 - an event, not an error
    """A request that is not sent: it is what the test looks at."""

    def __init__(self, request):
        self.url = request.url
        self.headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }


@pytest.fixture
def opened(monkeypatch):
    """Return a function that opens a bucket by a connection with this extra."""

    @contextlib.contextmanager
    def opened(**extra):
        from fanfold.airflow import connections

        fields = {"conn_type": "aws", "login": "key", "password": "geheim", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(fields))
        with connections.bucket("fanfold") as bucket:
            yield bucket

    return opened


def upload_to(bucket):
    """Return the upload of a new object as it would be sent."""

    def answer(request, **_):
        if request.method == "HEAD":
            return AWSResponse(request.url, 404, {}, SimpleNamespace(stream=list))
        raise Sent(request)

    bucket.client.meta.events.register("before-send.s3", answer)
    with pytest.raises(Sent) as caught:
        put_bytes(bucket, "a/latest.json", b"{}")
    return caught.value


def test_what_aliyun_oss_needs_is_sent(opened):
    """The bucket in the host name, no checksum and no chunks behind the data."""
    given = {"s3": {"addressing_style": "virtual"}, "request_checksum_calculation": "when_required"}
    with opened(endpoint_url=OSS, region_name="cn-hangzhou", config_kwargs=given) as bucket:
        sent = upload_to(bucket)
        link = bucket.client.generate_presigned_url("get_object", {"Bucket": "fanfold", "Key": "a"})
    assert sent.url == "https://fanfold.s3.oss-cn-hangzhou.aliyuncs.com/a/latest.json"
    assert sent.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert not [name for name in sent.headers if "checksum" in name or "trailer" in name]
    assert "content-encoding" not in sent.headers
    assert link.startswith(
        "https://fanfold.s3.oss-cn-hangzhou.aliyuncs.com/a?X-Amz-Algorithm=AWS4-"
    )


def test_without_config_kwargs_an_upload_has_its_sha256_and_links_have_signature_version_4(opened):
    """boto signs links by version 2 in us-east-1."""
    with opened(region_name="us-east-1") as bucket:
        sent = upload_to(bucket)
        link = bucket.client.generate_presigned_url("get_object", {"Bucket": "fanfold", "Key": "a"})
    assert sent.headers["x-amz-trailer"] == "x-amz-checksum-sha256"
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in link


def test_config_kwargs_override_ours_one_by_one(opened):
    given = {
        "signature_version": "s3",
        "read_timeout": 90,
        "proxies": {"https": "http://proxy.example:3128"},
        "request_checksum_calculation": "when_required",
    }
    with opened(endpoint_url=OSS, region_name="cn-hangzhou", config_kwargs=given) as bucket:
        config = bucket.client.meta.config
        sent = upload_to(bucket)
    assert {name: getattr(config, name) for name in given} == given
    assert (config.connect_timeout, config.retries["mode"]) == (5, "standard")
    assert sent.headers["authorization"].startswith("AWS key:")


def test_files_are_read_with_the_config_kwargs_of_their_connection(opened, monkeypatch):
    from fanfold.airflow import connections

    monkeypatch.setenv("FANFOLD_BUCKET", "fanfold")
    given = {
        "s3": {"addressing_style": "virtual"},
        "response_checksum_validation": "when_supported",
    }
    with opened(config_kwargs=given), connections.locations("aws_default") as locations:
        config = locations._client.meta.config
    assert config.s3 == {"addressing_style": "virtual"}
    # What reading in ranges needs stays.
    assert config.response_checksum_validation == "when_required"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"config_kwargs": {"adressing_style": "virtual"}}, "config_kwargs.*adressing_style"),
        ({"config_kwargs": {"s3": {"addressing_style": "host"}}}, "config_kwargs.*host"),
        ({"config_kwargs": {"retries": {"mode": "often"}}}, "config_kwargs.*often"),
        ({"config_kwargs": {"request_checksum_calculation": "never"}}, "config_kwargs.*never"),
        ({"config_kwargs": "virtual"}, "config_kwargs"),
        ({"region_name": "here there"}, "region_name.*here there"),
        ({"endpoint_url": "key:geheim@s3.example"}, "endpoint_url"),
        ({"endpoint_url": "http://[::1"}, "endpoint_url"),
        ({"endpoint_url": 5}, "endpoint_url"),
        ({"config_kwargs": {"read_timeout": "5"}}, "number of config_kwargs"),
        ({"aws_session_token": 5}, "value in its extra"),
        ({"role_arn": "arn:aws:iam::1:role/x", "assume_role_method": "x"}, "assume_role_method"),
    ],
)
def test_a_wrong_extra_is_told_with_its_field(opened, extra, told):
    with pytest.raises(BadConfiguration, match=f"'aws_default'.*{told}") as caught, opened(**extra):
        pytest.fail("it was opened")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 301, 302, 307, 400, 404])
def test_a_page_is_no_object_storage(opened, status):
    """That of a captive portal, of a login, or of a server with TLS at this port."""
    page = b"<html>login</html>"

    def answer(request, **_):
        body = SimpleNamespace(stream=lambda: [page])
        return AWSResponse(request.url, status, {"content-type": "text/html"}, body)

    with opened(endpoint_url="http://s3.example:9000", region_name="x") as bucket:
        bucket.client.meta.events.register("before-send.s3", answer)
        with pytest.raises(BadConfiguration, match=r"http://s3\.example:9000.*endpoint_url"):
            check_bucket(bucket)
