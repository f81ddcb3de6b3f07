"""A bucket that cannot be used is reported by the preflight check, and by publish."""

import socket
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config

from fanfold.errors import BadConfiguration, SinkUnavailable
from fanfold.local.s3 import running_s3
from fanfold.stages.publishing import check_bucket, publish
from fanfold.storage.objects import Bucket


def client_of(server):
    return closing(
        boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5),
        )
    )


def test_a_missing_bucket_is_named(new_s3_client, s3_server, make_run):
    bucket, run = Bucket(new_s3_client, "no-such-bucket"), make_run()
    for use in (check_bucket, lambda bucket: publish(bucket, run.dataset, run.manifest)):
        with pytest.raises(
            BadConfiguration, match="create the bucket, or correct its name"
        ) as caught:
            use(bucket)
        assert f"'no-such-bucket' at {s3_server.url}" in str(caught.value)


def test_a_bucket_without_a_name_is_a_configuration_error(new_s3_client):
    with pytest.raises(BadConfiguration, match="FANFOLD_BUCKET"):
        check_bucket(Bucket(new_s3_client, ""))


@pytest.mark.parametrize(
    "operation", ["ListObjectsV2", "HeadObject", "PutObject", "GetObject", "DeleteObject"]
)
def test_a_key_without_permissions_is_told_which_it_needs(new_s3_client, bucket_name, operation):
    """The local server has one key with all permissions, so the client's answer is replaced."""

    def refuse(**_):
        answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        return SimpleNamespace(status_code=403), answer

    new_s3_client.meta.events.register(f"before-call.s3.{operation}", refuse)
    with pytest.raises(BadConfiguration, match="needs s3:ListBucket and s3:GetObject"):
        check_bucket(Bucket(new_s3_client, bucket_name))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"access_key": "AKIAUNKNOWN"}, "does not know the access key"),
        (
            {"secret_key": "streng-geheim"},
            "secret key of the S3 connection is not that of its access",
        ),
    ],
)
def test_a_wrong_key_is_told_by_its_name_and_not_as_a_missing_permission(
    s3_server, bucket_name, wrong, told
):
    with (
        client_of(replace(s3_server, **wrong)) as client,
        pytest.raises(BadConfiguration, match=told) as caught,
    ):
        check_bucket(Bucket(client, bucket_name))
    assert f"'{bucket_name}' at {s3_server.url}" in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "needs s3:" not in str(caught.value)


def test_an_unreachable_service_is_retriable(s3_server, make_run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with client_of(replace(s3_server, url=url)) as client:
            with pytest.raises(SinkUnavailable, match=f"{url} cannot be reached"):
                check_bucket(Bucket(client, "any"))
            run = make_run()
            with pytest.raises(SinkUnavailable, match="cannot be reached"):
                publish(Bucket(client, "any"), run.dataset, run.manifest)


def test_a_port_in_use_is_an_error_of_the_server():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(BadConfiguration, match="did not start"),
            running_s3(port=taken.getsockname()[1]),
        ):
            pytest.fail("it started")
