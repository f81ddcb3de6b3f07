"""The command line, the processes and the output file of a plain script.

    python plain.py --first 2000000000 --items 10000 --in-flight 16 --processes 2 --out users.parquet

URL and token come from ``BENCH_URL`` and ``BENCH_TOKEN``: a process list must not show the token.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Fetch = Callable[[list[str], int], list[Any]]


def addresses(first: int, items: int) -> list[str]:
    """Return the URLs of N profiles."""
    show = f"{os.environ['BENCH_URL']}/2/users/show.json?access_token={os.environ['BENCH_TOKEN']}"
    return [f"{show}&uid={uid}" for uid in range(first, first + items)]


def run(fetch: Fetch) -> None:
    """Fetch all profiles and write them as one Parquet file.

    Args:
        fetch: Takes URLs and the number of requests in flight; returns the JSON documents in the
            order of the URLs.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True, help="in each process")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    urls = addresses(given.first, given.items)
    if given.processes == 1:
        profiles = fetch(urls, given.in_flight)
    else:
        share = -(-len(urls) // given.processes)
        shares = [urls[start : start + share] for start in range(0, len(urls), share)]
        with ProcessPoolExecutor(given.processes) as pool:
            halves = pool.map(fetch, shares, [given.in_flight] * len(shares))
            profiles = [profile for half in halves for profile in half]
    write(profiles, given.out)


def write(profiles: list[Any], out: Path) -> None:
    """Write the profiles as one Parquet file."""
    import pandas as pd

    pd.json_normalize(profiles).astype(str).to_parquet(out)
