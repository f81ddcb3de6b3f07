"""What a supervisor asks the processes of its stack, and reads of what they said."""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import TYPE_CHECKING

from fanfold.local import settings

if TYPE_CHECKING:
    from pathlib import Path

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy


def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((settings.LOOPBACK, port)) == 0


def healthy(port: int) -> bool:
    """Whether api-server, scheduler, dag-processor and triggerer all say that they are well."""
    try:
        # Airflow builds the API that tasks talk to (seconds) when it is first asked for it: now.
        _DIRECT.open(f"{settings.url(port)}/execution/health", timeout=30).close()
        with _DIRECT.open(f"{settings.url(port)}/api/v2/monitor/health", timeout=5) as answer:
            parts = json.load(answer)
    except (OSError, ValueError):
        return False
    return all(
        (parts.get(name) or {}).get("status") == "healthy"
        for name in ("metadatabase", "scheduler", "dag_processor", "triggerer")
    )


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log, of which no more than 64 KiB are read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65_536))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []
