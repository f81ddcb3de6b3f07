"""The ``.env`` of the cluster: secrets that nobody chose, readable by their owner only."""

from __future__ import annotations

import base64
import os
import secrets
from typing import TYPE_CHECKING

from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRIVATE = 0o600


def _password() -> str:
    """Return 192 random bits that need no quoting in a URL, a shell or a .env."""
    return secrets.token_hex(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


SECRETS: dict[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _password,
    "AIRFLOW_DB_PASSWORD": _password,
    "CELERY_DB_PASSWORD": _password,
    "WAREHOUSE_DB_PASSWORD": _password,
    "REDIS_PASSWORD": _password,
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_JWT_SECRET": lambda: secrets.token_hex(48),
    "AIRFLOW_API_SECRET_KEY": _password,
    "AIRFLOW_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(15),
    "SOURCE_TOKEN": _password,
    "S3_ACCESS_KEY": lambda: f"FAN{secrets.token_hex(8).upper()}",
    "S3_SECRET_KEY": _password,
}
"""How each secret is drawn."""
SETTINGS = {
    "COMPOSE_PROJECT_NAME": "fanfold",
    # Simulator and S3 server, to try it out; empty with an API and a bucket of your own.
    "COMPOSE_PROFILES": "tryout",
    "FANFOLD_BUCKET": "fanfold",
    "FANFOLD_PORT": "8080",
    "FANFOLD_URL": "http://localhost:8080",
}
"""What else a fresh file holds."""
HEADER = """\
# Written by `make cluster-up`: secrets that belong to the volumes of this cluster. Keep a copy in a
# safe place: without AIRFLOW_FERNET_KEY nobody reads the connections in a backup of the database.
# What else can be set stands in docker-compose.yaml.
"""


def read(path: Path) -> dict[str, str]:
    """Return the variables of a .env.

    Raises:
        BadConfiguration: It cannot be read, or a line is no ``NAME=value``.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path} cannot be read: {error}") from error
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, separator, value = line.partition("=")
        if not separator:
            raise BadConfiguration(f"{path}, line {number}: it must have the form NAME=value.")
        found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    """Return a value without the quotes around it, as Compose takes it."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def ensure(path: Path, given: dict[str, str] | None = None) -> dict[str, str]:
    """Return the variables of ``path``, after adding every secret that it does not hold.

    A file that is there keeps all that it has: its secrets belong to volumes. Nobody but its owner may
    read it afterwards.

    Args:
        path: The file.
        given: Settings for a fresh file, beside and instead of :data:`SETTINGS`.

    Raises:
        BadConfiguration: The file cannot be read or written, or a secret in it is empty.
    """
    there = read(path) if path.exists() else None
    empty = [name for name in SECRETS if there is not None and there.get(name, "?") == ""]
    if empty:
        raise BadConfiguration(
            f"{path}: {', '.join(empty)} is empty. Give it a value, or take the line out and "
            "`make cluster-up` draws one."
        )
    wanted = {} if there is not None else {**SETTINGS, **(given or {})}
    wanted |= {name: draw() for name, draw in SECRETS.items() if name not in (there or {})}
    try:
        if wanted:
            _append(path, wanted, HEADER if there is None else "")
        path.chmod(PRIVATE)
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be written: {error}") from error
    return read(path)


def change(path: Path, variables: dict[str, str]) -> None:
    """Set variables of a .env; the other lines stay as they are.

    Raises:
        BadConfiguration: It cannot be read or written.
    """
    read(path)
    lines = path.read_text("utf-8").splitlines()
    others = [line for line in lines if line.partition("=")[0].strip() not in variables]
    new = [f"{name}={value}" for name, value in variables.items()]
    try:
        _write(path, "".join(f"{line}\n" for line in (*others, *new)))
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be written: {error}") from error


def _append(path: Path, variables: dict[str, str], header: str) -> None:
    before = path.read_text("utf-8") if path.exists() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    _write(path, f"{header}{before}{lines}")


def _write(path: Path, text: str) -> None:
    """Write all of it under another name, and rename: nobody meets half a file, or an open one."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with open(
        unfinished,
        "x",
        encoding="utf-8",
        opener=lambda name, flags: os.open(name, flags, PRIVATE),
    ) as file:
        file.write(text)
    unfinished.replace(path)
