"""Builds the images that a user would pull, from Debian's packages, under the very same names.

``python tests/cluster/standins.py`` needs root, Docker and debootstrap. Where a registry is at hand,
nothing of this is needed: the names are those of the official images. An image that is there already
is left alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = Path(__file__).parent / "images"
SUITE = "trixie"
CERTIFICATES = "usr/local/share/ca-certificates"
"""Where a machine keeps certificates of its own: a base image of such a place holds them, too."""


def base_name() -> str:
    """Return the base image that the Dockerfile names."""
    return re.search(
        r"^ARG BASE_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )[1]


def pulled() -> dict[str, str]:
    """Return the images that docker-compose.yaml would pull, by the variable that names each."""
    text = "\n".join(path.read_text("utf-8") for path in ROOT.glob("docker-compose*.yaml"))
    return dict(re.findall(r"image: \$\{([A-Z_]+)_IMAGE:-([^}]+)\}", text))


def _there(image: str) -> bool:
    command = ["docker", "image", "inspect", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_base(image: str) -> None:
    """Bootstrap Debian into an image."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["debootstrap", "--variant=minbase", SUITE, folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        own = Path("/", CERTIFICATES)
        if own.is_dir():
            shutil.copytree(own, Path(folder, CERTIFICATES), dirs_exist_ok=True)
        shutil.rmtree(Path(folder, "var/cache/apt/archives"))
        tar = ["tar", "-C", folder, "-c", "."]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
            subprocess.run(["docker", "import", "-", image], stdin=archive.stdout, check=True)
        if archive.returncode:
            raise SystemExit(f"{image} was not archived whole")


def main() -> None:
    """Build what is missing."""
    base = base_name()
    if not _there(base):
        print(f"bootstrapping {base}", flush=True)
        make_base(base)
    for name, image in sorted(pulled().items()):
        file = IMAGES / name.lower() / "Dockerfile"
        if _there(image) or not file.exists():
            continue
        print(f"building {image}", flush=True)
        command = ["docker", "build", "--quiet", "--build-arg", f"BASE_IMAGE={base}"]
        command += ["--tag", image, "--file", str(file), str(ROOT / "tests")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
