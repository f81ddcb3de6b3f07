"""The baseline: a script with ``requests`` and threads that writes one Parquet file."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
import script

local = threading.local()


def get(url: str) -> Any:
    """Return a JSON document."""
    session = getattr(local, "session", None)
    if session is None:
        session = local.session = requests.Session()
    answer = session.get(url, timeout=30)
    answer.raise_for_status()
    return answer.json()


def fetch(urls: list[str], in_flight: int) -> list[Any]:
    """Return the JSON documents, in order."""
    with ThreadPoolExecutor(in_flight) as pool:
        return list(pool.map(get, urls))


if __name__ == "__main__":
    script.run(fetch)
