"""The baseline: a plain script with ``requests`` and threads, which writes one Parquet file.

python bench/plain.py URL TOKEN FIRST_UID USERS THREADS OUT
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import requests

local = threading.local()


def fetch(url: str, token: str, uid: int) -> dict[str, Any]:
    """Return a user's profile."""
    session = getattr(local, "session", None)
    if session is None:
        session = local.session = requests.Session()
    answer = session.get(
        f"{url}/2/users/show.json", params={"access_token": token, "uid": uid}, timeout=30
    )
    answer.raise_for_status()
    profile: dict[str, Any] = answer.json()
    return profile


def main() -> None:
    """Fetch the users and write the file."""
    url, token, first, users, threads, out = sys.argv[1:]
    uids = range(int(first), int(first) + int(users))
    with ThreadPoolExecutor(int(threads)) as pool:
        profiles = list(pool.map(lambda uid: fetch(url, token, uid), uids))
    pd.json_normalize(profiles).astype(str).to_parquet(out)


if __name__ == "__main__":
    main()
