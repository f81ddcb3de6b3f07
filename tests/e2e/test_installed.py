"""``pip install fanfold`` in an Airflow of its own, with one DAG file and no copied folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
TIMEOUT = 90


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of a new environment: the packages of this one, and Fanfold from its wheel."""
    folder = tmp_path_factory.mktemp("installed")
    uv = Path(sys.executable).with_name("uv")
    build = [uv, "build", "--wheel", "--no-build-isolation", "--offline", "--out-dir", folder]
    options = {"capture_output": True, "cwd": ROOT}
    subprocess.run([*build, "--python", sys.executable], check=True, **options)
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if "fanfold" not in each.name:
            (packages / each.name).symlink_to(each)
    airflow = python.with_name("airflow")  # for `airflow standalone`
    airflow.write_text(f"#!{python}\nfrom airflow.__main__ import main\nmain()\n")
    airflow.chmod(0o755)
    install = [uv, "pip", "install", "--no-deps", "--offline", "--python", python]
    subprocess.run([*install, *folder.glob("*.whl")], check=True, **options)
    return python


def test_one_dag_file_runs_in_an_airflow_of_its_own(
    python, tmp_path, s3_server, s3_client, sqlite_database
):
    """Found by Airflow alone: plugin, DAG file and pipeline."""
    bucket, port = "installed", _free_port()
    s3_client.create_bucket(Bucket=bucket)
    shutil.copy(sqlite_database, tmp_path)
    aws = {
        "conn_type": "aws",
        "login": s3_server.access_key,
        "password": s3_server.secret_key,
        "extra": {"endpoint_url": s3_server.url, "region_name": "us-east-1"},
    }
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws),
        "AIRFLOW_CONN_WAREHOUSE_DEFAULT": json.dumps(
            {"conn_type": "sqlite", "host": str(tmp_path / "tables.db")}
        ),
        "FANFOLD_BUCKET": bucket,
        "FANFOLD_SHARED_DIR": str(tmp_path / "shared"),
        "NO_PROXY": "127.0.0.1",
    }

    def run(*command):
        return subprocess.run(
            [python, *command], env=environment, capture_output=True, text=True, check=True, cwd="/"
        ).stdout

    new = run("-m", "fanfold", "new", "steps", "--from", "compute")
    assert new.splitlines()[:2] == [
        str(tmp_path / "dags" / "pipelines" / "steps.py"),
        str(tmp_path / "dags" / "steps.py"),
    ]
    assert "27: ok" in run("-m", "fanfold", "try", "steps", "--item", "27")

    log = tmp_path / "standalone.log"
    with log.open("wb") as output:
        airflow = subprocess.Popen(
            [python.with_name("airflow"), "standalone"],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        api = f"http://127.0.0.1:{port}/api/v2"
        with requests.Session() as session:

            def answer(method, path, **body):
                try:
                    found = session.request(method, f"{api}{path}", timeout=10, **body)
                except (requests.ConnectionError, requests.Timeout):
                    return None
                return found.json() if found.ok else None

            def wait(method, path, until=bool, **body):
                end = time.monotonic() + TIMEOUT
                while not until(found := answer(method, path, **body)):
                    assert airflow.poll() is None, log.read_text()
                    assert time.monotonic() < end, log.read_text()
                    time.sleep(0.3)
                return found

            token = lambda: session.get(f"http://127.0.0.1:{port}/auth/token", timeout=10)  # noqa: E731
            wait("GET", "/version")
            session.headers["Authorization"] = f"Bearer {token().json()['access_token']}"
            request = {"logical_date": None, "conf": {"items": ["27"]}}
            run_id = wait("POST", "/dags/steps/dagRuns", json=request)["dag_run_id"]
            ended = wait(
                "GET",
                f"/dags/steps/dagRuns/{run_id}",
                lambda found: found and found["state"] in {"success", "failed"},
            )
            assert ended["state"] == "success", log.read_text()
            assert "fanfold" in [each["name"] for each in answer("GET", "/plugins")["plugins"]]
            page = session.get(f"http://127.0.0.1:{port}/fanfold/api/pipelines", timeout=10)
            assert [each["dag_id"] for each in page.json()["pipelines"]] == ["steps"]
    finally:
        os.killpg(airflow.pid, signal.SIGTERM)  # standalone does not end all its components
        airflow.wait(30)
    assert s3_client.get_object(Bucket=bucket, Key="steps/latest.json")
    assert "already registered" not in log.read_text()
