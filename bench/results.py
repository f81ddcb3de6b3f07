"""What was measured, kept as JSON after each step, so that a run that is cut off keeps what it has."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.workspace.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from measuring import Usage


class Results:
    """The raw figures of all sections.

    Args:
        path: Where they are kept; None keeps them in memory. What lies there already stays, until
            the same thing is measured again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.data: dict[str, Any] = read_json(path) if path and path.exists() else {}
        self.data["machine"] = machine()

    def keep(self, section: str, key: str, value: Any) -> None:
        """Keep one figure, or what became of it."""
        self.data.setdefault(section, {})[key] = value
        if self._path:
            write_json(self._path, self.data)

    def forget(self, section: str) -> None:
        """Forget a section that is measured again as a whole."""
        self.data.pop(section, None)


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "processor": _processor(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def rounds(usages: Iterable[Usage]) -> list[dict[str, Any]]:
    """Return the rounds of one cell as JSON."""
    return [{name: _short(value) for name, value in asdict(each).items()} for each in usages]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def median(found: list[dict[str, Any]], name: str) -> float:
    """Return the median of one figure over the rounds."""
    return float(statistics.median(each[name] for each in found))


def peak(found: list[dict[str, Any]], name: str) -> float:
    """Return the highest of one figure over the rounds."""
    return float(max(each[name] for each in found))
