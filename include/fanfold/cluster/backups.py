"""Database and workspaces into a folder, and back.

A backup is taken while the cluster works. The databases come first: what a dump says of a task has
its files in the workspaces, which are copied afterwards and written whole or not at all. Redis is not
in it: the queue is made again from the database, and the rate budget begins with a pause.

The secrets are not in it either. Without the .env of the cluster (AIRFLOW_FERNET_KEY) the connections
in the dump cannot be read: keep a copy of that elsewhere.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from fanfold.cluster.compose import Refused
from fanfold.cluster.rolling import INSTALLATION, wait_until_well
from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.cluster.compose import Compose

DATABASES = ("airflow", "warehouse")
WORKSPACES = "workspaces.tar.gz"
_MOUNT = "/var/lib/fanfold/shared"


def back_up(compose: Compose, folder: Path) -> list[Path]:
    """Write a backup into a new folder, readable by its owner only; return its files.

    Raises:
        BadConfiguration: The folder is there already, or Postgres or a worker does not run.
        Refused: A dump failed; what was written is incomplete.
    """
    if folder.exists():
        raise BadConfiguration(f"{folder} is there already; name a folder that is not.")
    postgres = _running(compose, "postgres")
    worker = _running(compose, "airflow-worker", "airflow-apiserver")
    folder.mkdir(mode=0o700, parents=True)
    files = []
    for name in DATABASES:
        path = folder / f"{name}.dump"
        dump = ["pg_dump", "--username=postgres", "--format=custom", name]
        _save(["docker", "exec", postgres, *dump], path)
        files.append(path)
    path = folder / WORKSPACES
    # A file that is being written has a temporary name, and may be gone when tar comes to it.
    tar = ["tar", "--create", "--gzip", "--warning=no-file-changed", "--ignore-failed-read"]
    _save(["docker", "exec", worker, *tar, "--directory", _MOUNT, "."], path)
    return [*files, path]


def restore(compose: Compose, folder: Path) -> None:
    """Put a backup in place of what the volumes of a stopped cluster hold.

    Afterwards ``make cluster-up`` starts it. Tasks that ran when the backup was taken are found
    without a heartbeat, and repeated.

    Raises:
        BadConfiguration: The folder holds no whole backup, or the cluster runs.
        Refused: A part could not be restored.
    """
    wanted = [folder / f"{name}.dump" for name in DATABASES] + [folder / WORKSPACES]
    missing = [path.name for path in wanted if not path.is_file()]
    if missing:
        raise BadConfiguration(f"{folder} holds no {', '.join(missing)}: it is no whole backup.")
    runs = [each.name for each in compose.containers() if each.state == "running"]
    if runs:
        raise BadConfiguration(f"{', '.join(runs)} runs. Stop the cluster: `make cluster-down`.")
    compose.run("up", "--detach", "--no-deps", "--no-build", "postgres")
    wait_until_well(compose, "postgres")
    postgres = _running(compose, "postgres")
    for name in DATABASES:
        load = ["pg_restore", "--username=postgres", "--clean", "--if-exists", "--exit-on-error"]
        load += ["--single-transaction", f"--dbname={name}"]
        into = ["docker", "exec", "--interactive", postgres, *load]
        _load(compose, into, folder / f"{name}.dump")
    script = f"find {_MOUNT} -mindepth 1 -delete && tar --extract --gzip --directory {_MOUNT}"
    inside = ["run", "--rm", "--no-deps", "-T", INSTALLATION, "sh", "-c", script]
    _load(compose, [*compose.command, *inside], folder / WORKSPACES)
    compose.run("stop", "postgres")


def _running(compose: Compose, *services: str) -> str:
    for each in compose.containers(*services):
        if each.state == "running":
            return each.id
    raise BadConfiguration(f"No {' or '.join(services)} runs. Start it: `make cluster-up`.")


def _save(command: list[str], path: Path) -> None:
    with path.open("xb") as file:
        path.chmod(0o600)
        ended = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, check=False)
    _heed(path, ended)


def _load(compose: Compose, command: list[str], path: Path) -> None:
    with path.open("rb") as file:
        ended = subprocess.run(
            command, env=compose.environ, stdin=file, capture_output=True, check=False
        )
    _heed(path, ended)


def _heed(path: Path, ended: subprocess.CompletedProcess[bytes]) -> None:
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip()
        raise Refused(f"{path.name}: the command ended with {ended.returncode}: {said[-1000:]}")
