"""The resources of deploy/aws/fanfold.yaml, as moto's CloudFormation creates them.

moto knows fewer properties than AWS: cfn-lint checks the rest against AWS's schemas.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .conftest import TEMPLATE


def test_cfn_lint_finds_nothing():
    command = [Path(sys.executable).with_name("cfn-lint"), TEMPLATE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_only_the_nat_gateway_is_reachable_from_the_internet(account):
    ec2, at = account.client("ec2"), account.resources
    private = {at["PrivateSubnetA"], at["PrivateSubnetB"]}
    table = ec2.describe_route_tables(RouteTableIds=[at["PrivateRoutes"]])["RouteTables"][0]
    targets = {each.get("NatGatewayId") or each["GatewayId"] for each in table["Routes"]}
    assert targets == {"local", at["Nat"], at["BucketEndpoint"]}
    groups = {name: at[name] for name in ("InstanceGroup", "DatabaseGroup", "FileSystemGroup")}
    found = ec2.describe_security_groups(GroupIds=list(groups.values()))["SecurityGroups"]
    inbound = {each["GroupId"]: each["IpPermissions"] for each in found}
    assert inbound.pop(groups["InstanceGroup"]) == []
    for (rule,) in inbound.values():
        assert [each["GroupId"] for each in rule["UserIdGroupPairs"]] == [groups["InstanceGroup"]]
        assert rule["IpRanges"] == []
    (reservation,) = ec2.describe_instances()["Reservations"]
    assert {each["SubnetId"] for each in reservation["Instances"]} <= private
    targets = account.client("efs").describe_mount_targets(FileSystemId=at["FileSystem"])
    assert {each["SubnetId"] for each in targets["MountTargets"]} == private
    subnets = account.client("rds").describe_db_subnet_groups()["DBSubnetGroups"][0]["Subnets"]
    assert {each["SubnetIdentifier"] for each in subnets} == private


def test_data_is_encrypted_and_kept(account):
    at, s3 = account.resources, account.client("s3")
    (database,) = account.client("rds").describe_db_instances()["DBInstances"]
    assert (database["StorageEncrypted"], database["PubliclyAccessible"]) == (True, False)
    assert database["BackupRetentionPeriod"] == 14
    (system,) = account.client("efs").describe_file_systems()["FileSystems"]
    assert system["Encrypted"]
    rules = s3.get_bucket_encryption(Bucket=at["Bucket"])["ServerSideEncryptionConfiguration"]
    assert rules["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert '"aws:SecureTransport": "false"' in s3.get_bucket_policy(Bucket=at["Bucket"])["Policy"]


def test_containers_cannot_reach_the_role_that_reads_the_secrets(account):
    at = account.resources
    template = account.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=at["InstanceTemplate"]
    )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert template["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    rights = account.client("iam").get_role_policy(RoleName=at["InstanceRole"], PolicyName="start")
    granted = {
        (each["Action"], arn)
        for each in rights["PolicyDocument"]["Statement"]
        for arn in ([each["Resource"]] if isinstance(each["Resource"], str) else each["Resource"])
    }
    assert granted == {
        ("secretsmanager:GetSecretValue", at["Secrets"]),
        ("secretsmanager:GetSecretValue", at["PipelineSecret"]),
        ("secretsmanager:PutSecretValue", at["Secrets"]),
    }
