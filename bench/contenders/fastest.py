"""The far limit: the same script with libcurl's multi interface, the fastest client we found.

clients.py measures it against others.
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pycurl
import script

if TYPE_CHECKING:
    from collections.abc import Iterator


def fetch(urls: list[str], in_flight: int) -> list[Any]:
    """Return the JSON documents, in order."""
    found: list[Any] = [None] * len(urls)
    waiting = iter(enumerate(urls))
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, in_flight)
    active = sum(_start(multi, pycurl.Curl(), waiting) for _ in range(in_flight))
    while active:
        multi.perform()
        left = 1
        while left:
            left, done, failed = multi.info_read()
            if failed:
                raise SystemExit(f"libcurl error {failed[0][1]}: {failed[0][2]}")
            for curl in done:
                found[curl.index] = json.loads(curl.body.getvalue())
                multi.remove_handle(curl)
                active += _start(multi, curl, waiting) - 1
        if active:
            multi.select(1.0)
    multi.close()
    return found


def _start(multi: Any, curl: Any, waiting: Iterator[tuple[int, str]]) -> int:
    """Start the next request; return how many were started."""
    index, url = next(waiting, (0, None))
    if url is None:
        return 0
    curl.index, curl.body = index, BytesIO()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.WRITEDATA, curl.body)
    curl.setopt(pycurl.FAILONERROR, 1)
    curl.setopt(pycurl.TIMEOUT, 30)
    multi.add_handle(curl)
    return 1


if __name__ == "__main__":
    script.run(fetch)
