"""Pipelines with exactly the rights of the template's user, which moto's IAM checks for each request."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from fanfold.errors import BadConfiguration

from .conftest import REGION, ROOT

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

REFUSED = {
    "s3:ListBucket": "ListObjectsV2",
    "s3:GetObject": "HeadObject",
    "s3:PutObject": "PutObject",
    "s3:DeleteObject": "DeleteObject",
}
"""The request of `preflight` that is refused without a right."""
ABORT = "s3:AbortMultipartUpload"
DAYS = [datetime(2026, 6, day, tzinfo=UTC) for day in (1, 2)]


@pytest.fixture
def shop(pipeline, account):
    """The pipelines, with the bucket and the access key of the stack; rights are checked."""
    key, bucket = account.key, account.resources["Bucket"]
    pipeline.bucket, pipeline.client = bucket, account.client("s3")
    pipeline.patch.setenv("FANFOLD_BUCKET", bucket)
    pipeline.connect(
        "aws_default",
        conn_type="aws",
        login=key["S3_ACCESS_KEY"],
        password=key["S3_SECRET_KEY"],
        extra={"endpoint_url": account.url, "region_name": REGION},
    )
    # moto does not know the condition of this policy, and would refuse everything.
    rules = pipeline.client.get_bucket_policy(Bucket=bucket)["Policy"]
    pipeline.client.delete_bucket_policy(Bucket=bucket)
    account.enforce(rights=True)
    yield pipeline
    account.enforce(rights=False)
    pipeline.client.put_bucket_policy(Bucket=bucket, Policy=rules)


@pytest.fixture
def without(account):
    """``without(right)``: take one right from the user until the end of the test."""
    iam, user = account.client("iam"), account.resources["PipelineUser"]
    arn = account.resources["PipelineRights"]

    def change(right):
        account.enforce(rights=False)
        document = policy(account)
        for statement in document["Statement"]:
            statement["Action"] = [action for action in statement["Action"] if action != right]
        document["Statement"] = [each for each in document["Statement"] if each["Action"]]
        iam.put_user_policy(UserName=user, PolicyName="fewer", PolicyDocument=json.dumps(document))
        iam.detach_user_policy(UserName=user, PolicyArn=arn)
        account.enforce(rights=True)

    yield change
    account.enforce(rights=False)
    iam.attach_user_policy(UserName=user, PolicyArn=arn)
    iam.delete_user_policy(UserName=user, PolicyName="fewer")


def policy(account):
    """The document of the user's policy."""
    arn = account.resources["PipelineRights"]
    found = account.client("iam").get_policy_version(PolicyArn=arn, VersionId="v1")
    return found["PolicyVersion"]["Document"]


@pytest.fixture
def bucket(shop, account):
    """The bucket as `publish` opens it, with the access key of the stack."""
    from fanfold.storage.objects import Bucket

    key = account.key
    return Bucket(account.client("s3", key["S3_ACCESS_KEY"], key["S3_SECRET_KEY"]), shop.bucket)


def test_a_pipeline_over_files_publishes_merges_and_is_redriven_with_these_rights(shop, account):
    """Files are listed and read, two days published and merged, and the first one published again."""
    from fanfold.simulator.shop import files

    account.enforce(rights=False)
    for day in DAYS:
        content = files(day.date())["web.csv"]
        shop.client.put_object(
            Bucket=shop.bucket, Key=f"orders/date={day:%Y-%m-%d}/web.csv", Body=content
        )
    account.enforce(rights=True)
    first, second = (shop.run("order_analysis", date=day) for day in DAYS)
    assert (first.errors, second.errors) == ({}, {})
    assert second.manifest["generation"] == 2
    again = shop.clear(first, "consolidate", "publish")
    assert again.errors == {}
    account.enforce(rights=False)
    prefixes = {key.rpartition("/")[0] for key in shop.objects() if key.endswith("report.html")}
    assert len(prefixes) == 2


@pytest.mark.parametrize("right", REFUSED)
def test_preflight_fails_without_a_right_and_names_the_request(bucket, without, right):
    from fanfold.stages.publishing import check_bucket

    check_bucket(bucket)
    without(right)
    with pytest.raises(BadConfiguration, match=f"{REFUSED[right]} failed with"):
        check_bucket(bucket)


def test_a_broken_upload_is_removed_by_one_right(bucket, account, without, tmp_path):
    """Without it the parts stay, and cost, until the lifecycle of the bucket removes them."""
    from fanfold.storage.objects import MIB, Parts, put_file

    def break_off(params, **_):
        if b"second part" in params["body"].read():
            raise BadConfiguration("the connection broke")

    path = tmp_path / "large.parquet"
    path.write_bytes(bytes(5 * MIB) + b"second part")
    bucket.client.meta.events.register("before-call.s3.UploadPart", break_off)

    def uploads_left():
        with pytest.raises(BadConfiguration, match="the connection broke"):
            put_file(bucket, "large.parquet", path, parts=Parts(5 * MIB, 5 * MIB))
        account.enforce(rights=False)
        found = account.client("s3").list_multipart_uploads(Bucket=bucket.name).get("Uploads", [])
        account.enforce(rights=True)
        return len(found)

    assert uploads_left() == 0
    without(ABORT)
    assert uploads_left() == 1


def test_the_template_has_the_rights_of_these_tests_and_the_readme_lists_them(account):
    rights = {action for each in policy(account)["Statement"] for action in each["Action"]}
    assert rights == {*REFUSED, ABORT}
    for page in ("README.md", "docs/reference.md"):
        assert set(re.findall(r"s3:\w+", (ROOT / page).read_text("utf-8"))) == rights


def test_the_key_reaches_no_other_bucket(bucket, account):
    account.enforce(rights=False)
    place = {"LocationConstraint": REGION}
    account.client("s3").create_bucket(Bucket="other", CreateBucketConfiguration=place)
    account.enforce(rights=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        bucket.client.put_object(Bucket="other", Key="key", Body=b"")
