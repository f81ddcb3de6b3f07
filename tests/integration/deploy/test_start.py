"""What the instance of the template does at its start, as far as it runs without AWS."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from contextlib import closing

import psycopg
import pytest

from fanfold.cluster import aws, environment
from fanfold.cluster.compose import require_compose
from fanfold.errors import BadConfiguration

from .conftest import REGION, ROOT

COMMAND = """#!{python} -BIS
import json, sys, urllib.error, urllib.request

_, service, action, _, secret, *_ = sys.argv
body = {{"SecretId": secret}}
if action == "put-secret-value":
    assert sys.argv[-2:] == ["--secret-string", "file:///dev/stdin"]
    body["SecretString"] = sys.stdin.read()
headers = {{
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": service + "." + action.title().replace("-", ""),
    "Authorization": "AWS4-HMAC-SHA256 Credential=instance/20260101/{region}/secretsmanager/aws4_request",
}}
try:
    request = urllib.request.Request({url!r}, json.dumps(body).encode(), headers)
    answer = json.load(urllib.request.urlopen(request))
except urllib.error.HTTPError as error:
    sys.exit(error.read().decode())
if action == "get-secret-value":
    print(answer["SecretString"])
"""
"""The two commands of the AWS CLI that the start uses."""


@pytest.fixture
def instance(account, tmp_path, monkeypatch):
    """What the user data sets, and a command ``aws`` that talks to the account."""
    program = tmp_path / "aws"
    program.write_text(COMMAND.format(python=sys.executable, url=account.url, region=REGION))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    template = account.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=account.resources["InstanceTemplate"]
    )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    text = base64.b64decode(template["UserData"]).decode()
    return dict(re.findall(r"([A-Z_]+)=(\S+)", text))


def test_another_instance_continues_with_the_secrets_of_the_first(account, instance, tmp_path):
    files = [tmp_path / name for name in ("first", "second")]
    for file in files:
        aws.write(file, instance)
    first, second = map(environment.read, files)
    assert first == second
    assert set(environment.SECRETS) <= set(first)
    assert account.secret("Secrets").items() <= first.items()
    assert first["S3_SECRET_KEY"] == account.key["S3_SECRET_KEY"]
    assert first["FANFOLD_BUCKET"] == account.resources["Bucket"]


def test_a_refused_secret_is_named(instance, tmp_path):
    with pytest.raises(
        BadConfiguration, match=r"get-secret-value` of arn:missing failed: (?s:.*)ResourceNotFound"
    ):
        aws.write(tmp_path / ".env", {**instance, "SECRETS": "arn:missing"})


def test_services_use_the_database_the_bucket_and_the_file_system(instance, tmp_path, missing_tool):
    """The file as Compose merges it; each service still has only the secrets that it needs."""
    try:
        require_compose()
    except BadConfiguration as error:
        missing_tool(str(error))
    aws.write(tmp_path / ".env", instance)
    command = ["docker", "compose", "--env-file", tmp_path / ".env", "config", "--format=json"]
    merged = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    services, host = merged["services"], instance["POSTGRES_HOST"]
    assert "@postgres:" not in json.dumps(merged)
    assert (
        f"@{host}:5432/celery"
        in services["airflow-worker"]["environment"]["AIRFLOW__CELERY__RESULT_BACKEND"]
    )
    assert services["postgres"]["environment"]["PGHOST"] == host
    holders = {
        name
        for name, each in services.items()
        if "AIRFLOW_CONN_AWS_DEFAULT" in (each["environment"] or {})
    }
    assert holders == {"airflow-worker", "airflow-apiserver"}
    connection = json.loads(services["airflow-worker"]["environment"]["AIRFLOW_CONN_AWS_DEFAULT"])
    assert (connection["conn_type"], connection["extra"]) == ("aws", {"region_name": REGION})
    assert not merged["networks"]["database"].get("internal")
    devices = {
        name: each.get("driver_opts", {}).get("device") for name, each in merged["volumes"].items()
    }
    assert devices["shared"] == "/mnt/fanfold/shared"


def test_databases_are_made_once_by_a_master_user_that_is_no_superuser(unsteady_postgres):
    """As that of RDS. A second start, of another instance, changes nothing."""
    unsteady_postgres.start()
    server = unsteady_postgres.server
    with closing(server.connect(autocommit=True)) as connection:
        connection.execute("DROP DATABASE airflow")
        connection.execute("CREATE ROLE master LOGIN CREATEDB CREATEROLE PASSWORD 'master'")
    passwords = {
        f"{name.upper()}_DB_PASSWORD": f"{name}'s" for name in ("airflow", "celery", "warehouse")
    }
    settings = {
        **os.environ,
        **passwords,
        "POSTGRES_USER": "master",
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGPASSWORD": "master",
    }
    for _ in range(2):
        script = ROOT / "config" / "postgres" / "databases.sh"
        done = subprocess.run(
            ["bash", script], env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    for name in ("airflow", "celery", "warehouse"):
        with closing(server.connect(user=name, password=f"{name}'s", dbname=name)) as connection:
            connection.execute("CREATE TABLE rows (number integer)")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        server.connect(user="celery", password="celery's", dbname="warehouse")
