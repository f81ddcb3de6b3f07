"""Both generations of Compose take the files, and understand the same by them."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml

import standins
from fanfold.cluster import environment
from fanfold.cluster.compose import Compose

FILES = ("docker-compose.yaml", "docker-compose.tls.yaml")


@pytest.fixture(scope="module")
def compose_2(images):  # noqa: ARG001 - the base first
    """An image with Compose 2."""
    name = "fanfold-test-compose2"
    command = ["docker", "build", "--quiet", "--build-arg", f"BASE_IMAGE={standins.base_name()}"]
    command += ["--tag", name, str(standins.IMAGES / "compose2")]
    subprocess.run(command, check=True, capture_output=True)
    return name


def test_compose_2_and_the_machines_own_see_the_same_services(compose_2, tmp_path):
    env_file = tmp_path / "env"
    given = {"COMPOSE_PROFILES": "tryout,metrics", "TLS_FOLDER": "/etc/ssl"}
    variables = environment.ensure(env_file, given)
    own = Compose(standins.ROOT, env_file, FILES[1:], variables)
    ours = yaml.safe_load(own.run("config"))["services"]

    env_file.chmod(0o644)
    tmp_path.chmod(0o755)
    command = ["docker", "run", "--rm", "--network=none", "--volume", f"{env_file}:/env:ro"]
    for name in (*FILES, "config"):
        command += ["--volume", f"{standins.ROOT / name}:/project/{name}:ro"]
    command += [compose_2, "docker-compose", "--project-directory", "/project"]
    command += [word for name in FILES for word in ("--file", f"/project/{name}")]
    command += ["--env-file", "/env", "config", "--format", "json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    theirs = json.loads(ended.stdout)["services"]

    assert set(theirs) == set(ours)
    for name, service in theirs.items():
        assert service.get("environment") == {
            key: str(value) for key, value in ours[name].get("environment", {}).items()
        } or not ours[name].get("environment"), name
        assert service["command"] == ours[name]["command"], name
        assert set(service["networks"]) == set(ours[name]["networks"]), name
        assert service.get("scale", 1) == ours[name].get("scale", 1), name
    internal = {
        name for name, each in json.loads(ended.stdout)["networks"].items() if each.get("internal")
    }
    assert internal == {"control", "database", "broker", "storage", "source", "metrics"}
