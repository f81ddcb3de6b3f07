"""docker-compose.yaml holds to what it promises, read as text and without Docker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fanfold.cluster import environment

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))["services"]


def test_only_the_api_server_publishes_a_port_and_on_loopback(services):
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert published == {
        "airflow-apiserver": ["${FANFOLD_BIND:-127.0.0.1}:${FANFOLD_PORT:-8080}:8080"]
    }


def test_every_part_is_hardened_and_limited(services):
    for name, each in services.items():
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each["read_only"] is True, name
        assert each["mem_limit"], name
        assert each["pids_limit"], name
        assert each["logging"]["options"]["max-size"], name


def test_a_worker_holds_no_key_of_airflow(services):
    told = services["airflow-worker"]["environment"]
    assert not {
        *("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"),
        *("AIRFLOW__API__SECRET_KEY", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"),
    } & set(told)


def test_no_secret_has_a_default():
    text = (ROOT / "docker-compose.yaml").read_text("utf-8")
    optional = {"SOURCE_TOKEN", "S3_ACCESS_KEY", "S3_SECRET_KEY"}  # of the try-out
    for name in set(environment.SECRETS) - optional:
        assert f"${{{name}:?" in text, name
        assert f"${{{name}}}" not in text, name
        assert f"${{{name}:-" not in text, name


SCRIPT = """
import sys
sys.path.insert(0, "include")
from fanfold.cluster.commands import main
main(["--help"])
"""


def test_the_command_needs_nothing_but_the_standard_library():
    command = [sys.executable, "-I", "-S", "-c", SCRIPT]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "write .env where there is none" in ended.stdout
