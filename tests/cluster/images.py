"""Builds the project's images, and those that a user would pull, from Debian's packages."""

from __future__ import annotations

import json
import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from fanfold.cluster.compose import CommandFailed, Compose, docker

ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yaml", "docker-compose.tls.yaml", "tests/cluster/images.yaml")
CERTIFICATES = Path("/usr/local/share/ca-certificates")


@contextmanager
def timed(what):
    """Print how long the block took."""
    began = time.monotonic()
    yield
    print(f"\n{what}: {time.monotonic() - began:.0f} s")


def succeeds(*command):
    """Whether a command of Docker succeeds."""
    try:
        docker(*command)
    except CommandFailed:
        return False
    return True


def _bootstrap(image):
    """Build the base image, with this machine's CA certificates."""
    copy = f"--customize-hook=copy-in {CERTIFICATES} {CERTIFICATES.parent}"
    hooks = [copy] if CERTIFICATES.is_dir() else []
    command = ["mmdebstrap", "--quiet", "--variant=minbase", *hooks, "trixie", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:
        subprocess.run(["docker", "import", "-", image], stdin=archive.stdout, check=True)
    assert archive.returncode == 0


def build(env_file):
    """Build the images of the profiles in an .env file; pulled ones only if they are missing."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    base = re.search(r"^ARG BASE_IMAGE=(\S+)$", dockerfile, re.MULTILINE)[1]
    with timed("base image"):
        if not succeeds("image", "inspect", base):
            _bootstrap(base)
    overrides = {"COMPOSE_FILE": ":".join(FILES), "BASE_IMAGE": base, "TLS_FOLDER": "/"}
    compose = Compose(ROOT, env_file, overrides)
    services = json.loads(compose.run("config", "--format", "json"))["services"]
    wanted = [
        name
        for name, service in services.items()
        if "build" in service
        and ("fanfold" in service["image"] or not succeeds("image", "inspect", service["image"]))
    ]
    with timed("images"):
        compose.run("build", *wanted, stdout=None)
