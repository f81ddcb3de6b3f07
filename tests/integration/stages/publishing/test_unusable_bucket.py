"""A bucket that cannot be used is reported by the preflight check, and by publish."""

import json
import socket
from contextlib import ExitStack, closing
from dataclasses import replace

import boto3
import pytest
from botocore.config import Config
from moto import settings
from moto.server import ThreadedMotoServer

from fanfold.errors import BadConfiguration, SinkUnavailable
from fanfold.local.s3 import S3Server, running_s3
from fanfold.stages.publishing import check_bucket, publish
from fanfold.storage.objects import Bucket


@pytest.fixture(scope="module")
def guarded_server():
    """An S3 server that checks keys and permissions, and the keys of a few users by name."""
    allowed = {
        "nobody": [],
        "writer": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
        "owner": ["s3:*"],
    }
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        stack.callback(server.stop)
        # The calls that set it up are free; from then on each is checked.
        patch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 1 + 3 * len(allowed))
        options = {"endpoint_url": url, "region_name": "us-east-1"}
        keys = {"aws_access_key_id": "setup", "aws_secret_access_key": "setup"}
        with (
            closing(boto3.client("iam", **options, **keys)) as iam,
            closing(boto3.client("s3", **options, **keys)) as s3,
        ):
            s3.create_bucket(Bucket="guarded")
            users = {}
            for name, actions in allowed.items():
                iam.create_user(UserName=name)
                key = iam.create_access_key(UserName=name)["AccessKey"]
                users[name] = S3Server(url, key["AccessKeyId"], key["SecretAccessKey"], pid=0)
                iam.put_user_policy(
                    UserName=name, PolicyName="rights", PolicyDocument=_policy(actions)
                )
        yield users


def _policy(actions):
    statement = {"Effect": "Allow", "Action": actions or ["s3:ListAllMyBuckets"], "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def client_of(server, **keys):
    return closing(
        boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id=keys.get("access_key", server.access_key),
            aws_secret_access_key=keys.get("secret_key", server.secret_key),
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5),
        )
    )


def test_a_missing_bucket_is_named(new_s3_client, s3_server, make_run):
    bucket, run = Bucket(new_s3_client, "no-such-bucket"), make_run()
    for use in (check_bucket, lambda bucket: publish(bucket, run.dataset, run.manifest)):
        with pytest.raises(BadConfiguration, match="create the bucket, or set FANFOLD") as caught:
            use(bucket)
        assert f"'no-such-bucket' at {s3_server.url}" in str(caught.value)


def test_a_bucket_without_a_name_is_a_configuration_error(new_s3_client):
    with pytest.raises(BadConfiguration, match="FANFOLD_BUCKET"):
        check_bucket(Bucket(new_s3_client, ""))


def test_a_key_without_permissions_is_told_which_it_needs(guarded_server):
    """Without s3:ListBucket, S3 answers 403 instead of 404 for a missing object."""
    for user in ("nobody", "writer"):
        with client_of(guarded_server[user]) as client, pytest.raises(BadConfiguration) as caught:
            check_bucket(Bucket(client, "guarded"))
        assert "needs s3:ListBucket, s3:GetObject, s3:PutObject" in str(caught.value), user
    with client_of(guarded_server["owner"]) as client:
        check_bucket(Bucket(client, "guarded"))


def test_a_wrong_key_is_a_configuration_error_without_the_key(guarded_server):
    keys = {"access_key": "AKIAUNKNOWN", "secret_key": "streng-geheim"}
    with (
        client_of(guarded_server["owner"], **keys) as client,
        pytest.raises(BadConfiguration, match="guarded") as caught,
    ):
        check_bucket(Bucket(client, "guarded"))
    assert "geheim" not in str(caught.value)


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


def test_the_server_stops_with_its_block():
    with running_s3() as server:
        port = int(server.url.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_port_in_use_is_an_error_of_the_server():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(BadConfiguration, match="did not start"),
            running_s3(port=taken.getsockname()[1]),
        ):
            pytest.fail("it started")
