"""docker-compose.yaml is hardened, and the command line needs no package; tested without Docker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fanfold.cluster import backups, environment
from fanfold.cluster.compose import Compose
from fanfold.errors import BadConfiguration

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yaml").read_text("utf-8")


def test_every_service_is_hardened_and_limited():
    for name, service in yaml.safe_load(TEXT)["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"]["max-size"], name


def test_one_port_is_published_on_loopback_and_two_networks_are_not_internal():
    file = yaml.safe_load(TEXT)
    published = {name: each["ports"] for name, each in file["services"].items() if "ports" in each}
    assert published == {
        "airflow-apiserver": ["${FANFOLD_BIND:-127.0.0.1}:${FANFOLD_PORT:-8080}:8080"]
    }
    open_ = {name for name, each in file["networks"].items() if not (each or {}).get("internal")}
    assert open_ == {"front", "outside"}


def test_no_secret_has_a_default():
    optional = {"SOURCE_TOKEN", "S3_ACCESS_KEY", "S3_SECRET_KEY"}  # of the profile tryout
    for name in set(environment.SECRETS) - optional:
        assert f"${{{name}:?" in TEXT, name
        assert f"${{{name}}}" not in TEXT, name
        assert f"${{{name}:-" not in TEXT, name


def test_the_command_line_needs_only_the_standard_library():
    script = (
        "import sys; sys.path.insert(0, 'include');"
        "from fanfold.cluster.commands import main; main(['--help'])"
    )
    command = [sys.executable, "-I", "-S", "-c", script]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "create .env if missing" in ended.stdout


def test_an_incomplete_backup_is_refused(tmp_path):
    (tmp_path / "airflow.dump").write_bytes(b"")
    with pytest.raises(BadConfiguration, match=r"no warehouse\.dump, workspaces"):
        backups.restore(Compose(ROOT, tmp_path / ".env"), tmp_path)
