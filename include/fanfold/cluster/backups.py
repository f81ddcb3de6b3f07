"""Backup and restore of the databases and workspaces.

A backup is taken while the cluster runs. Databases are dumped first, so that the files of every task
in a dump are in the workspaces, which are copied after it. Redis is not included: Airflow requeues
tasks from its database, and rate limits start with a pause. Neither is .env: without its
AIRFLOW_FERNET_KEY the connections in the dump cannot be decrypted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.cluster.rolling import INSTALLATION, start
from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.cluster.compose import Compose

DATABASES = ("airflow", "warehouse")
WORKSPACES = "workspaces.tar.gz"
_MOUNT = "/var/lib/fanfold/shared"


def back_up(compose: Compose, folder: Path) -> list[Path]:
    """Write a backup into a new folder that only its owner can read; return its files.

    Raises:
        BadConfiguration: The folder exists.
        CommandFailed: Postgres or the workers are not running, or a dump failed; the backup is
            incomplete.
    """
    if folder.exists():
        raise BadConfiguration(f"{folder} exists; name a new folder.")
    folder.mkdir(mode=0o700, parents=True)
    dump = ("pg_dump", "--username=postgres", "--format=custom")
    # Files that are being written have temporary names and may be renamed before tar reads them.
    tar = ("tar", "--create", "--gzip", "--warning=no-file-changed", "--ignore-failed-read")
    sources = {
        **{f"{name}.dump": ("postgres", *dump, name) for name in DATABASES},
        WORKSPACES: ("airflow-worker", *tar, "--directory", _MOUNT, "."),
    }
    for name, command in sources.items():
        with (folder / name).open("xb") as file:
            (folder / name).chmod(0o600)
            compose.execute(*command, stdout=file)
    return [folder / name for name in sources]


def restore(compose: Compose, folder: Path) -> None:
    """Replace the contents of a stopped cluster's volumes with a backup.

    Raises:
        BadConfiguration: The backup is incomplete, or the cluster is running.
        CommandFailed: A part could not be restored.
    """
    names = [*(f"{name}.dump" for name in DATABASES), WORKSPACES]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise BadConfiguration(f"The backup in {folder} is incomplete: no {', '.join(missing)}.")
    if any(each["State"] == "running" for each in compose.containers()):
        raise BadConfiguration("The cluster is running. Stop it first: `make cluster-down`.")
    start(compose, service="postgres")
    load = ("pg_restore", "--username=postgres", "--clean", "--if-exists", "--exit-on-error")
    for name in DATABASES:
        with (folder / f"{name}.dump").open("rb") as file:
            into = ("--single-transaction", f"--dbname={name}")
            compose.execute("postgres", *load, *into, stdin=file)
    script = f"find {_MOUNT} -mindepth 1 -delete && tar --extract --gzip --directory {_MOUNT}"
    with (folder / WORKSPACES).open("rb") as file:
        once = ("run", "--rm", "--no-deps", "--no-TTY", INSTALLATION)
        compose.run(*once, "sh", "-c", script, stdin=file)
    compose.run("stop", "postgres")
