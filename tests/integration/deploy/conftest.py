"""The stack of deploy/aws/fanfold.yaml, created by moto's CloudFormation behind a real HTTP server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "deploy" / "aws" / "fanfold.yaml"
STACK = "fanfold"
REGION = "eu-central-1"


@dataclass
class Account:
    """An AWS account with the stack, on loopback."""

    url: str
    resources: dict
    key: dict | None = None

    def client(self, service, key="admin", secret="admin"):  # noqa: S107 - moto takes any
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name=REGION,
            config=Config(
                proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}
            ),
        )

    def enforce(self, *, rights):
        """Let moto check keys and rights from now on, or not."""
        requests.post(f"{self.url}/moto-api/reset-auth", data="0" if rights else "inf", timeout=10)

    def secret(self, logical_id):
        answer = self.client("secretsmanager").get_secret_value(SecretId=self.resources[logical_id])
        return json.loads(answer["SecretString"])


def _teach_moto():
    """Add the two resource types that moto's CloudFormation lacks, on top of moto's own services."""
    from moto.core.common_models import CloudFormationModel
    from moto.s3.models import s3_backends
    from moto.secretsmanager.models import secretsmanager_backends

    class Secret(CloudFormationModel):
        @staticmethod
        def cloudformation_type():
            return "AWS::SecretsManager::Secret"

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name, cloudformation_json, account_id, region_name, **_
        ):
            backend = secretsmanager_backends[account_id][region_name]
            properties = cloudformation_json["Properties"]
            text = properties.get("SecretString")
            if text is None:
                wanted = properties["GenerateSecretString"]
                password = backend.get_random_password(
                    password_length=wanted["PasswordLength"],
                    exclude_characters="",
                    exclude_numbers=False,
                    exclude_punctuation=wanted["ExcludePunctuation"],
                    exclude_uppercase=False,
                    exclude_lowercase=False,
                    include_space=False,
                    require_each_included_type=True,
                )
                password = json.loads(password)["RandomPassword"]
                fields = json.loads(wanted["SecretStringTemplate"])
                text = json.dumps({**fields, wanted["GenerateStringKey"]: password})
            made = cls()
            answer = backend.create_secret(
                name=resource_name,
                secret_string=text,
                secret_binary=None,
                description=None,
                tags=None,
                kms_key_id=None,
                client_request_token=None,
                replica_regions=[],
                force_overwrite=False,
            )
            made.physical_resource_id = json.loads(answer)["ARN"]
            return made

    class BucketPolicy(CloudFormationModel):
        @staticmethod
        def cloudformation_type():
            return "AWS::S3::BucketPolicy"

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name, cloudformation_json, account_id, *_, **__
        ):
            properties = cloudformation_json["Properties"]
            policy = json.dumps(properties["PolicyDocument"]).encode()
            s3_backends[account_id]["aws"].put_bucket_policy(properties["Bucket"], policy)
            made = cls()
            made.physical_resource_id = resource_name
            return made

    for made in (Secret, BucketPolicy):
        made.__abstractmethods__ = frozenset()
        made.cloudformation_name_type = staticmethod(lambda: None)


@pytest.fixture(scope="session")
def account():
    """The account with the stack; nothing checks rights until ``enforce``."""
    from moto.server import ThreadedMotoServer

    _teach_moto()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    account = Account(f"http://{host}:{port}", {})
    stacks = account.client("cloudformation")
    stacks.create_stack(
        StackName=STACK,
        TemplateBody=TEMPLATE.read_text("utf-8"),
        Parameters=[{"ParameterKey": "Repository", "ParameterValue": "https://example.org/f.git"}],
        Capabilities=["CAPABILITY_IAM"],
    )
    found = stacks.describe_stack_resources(StackName=STACK)["StackResources"]
    account.resources = {
        each["LogicalResourceId"]: each.get("PhysicalResourceId") for each in found
    }
    account.key = account.secret("PipelineSecret")
    yield account
    server.stop()
