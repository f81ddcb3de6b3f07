"""Readings of weather stations: a paged JSON API of no real service, to write first pipelines on.

``GET /v1/stations/{station}/readings?until=YYYY-MM-DD`` returns the readings of 30 days, one an hour,
oldest first, 200 a page with the token of the next one. As real stations do, some hours have no
reading, and some values are missing or broken. A station exists if its id is a letter and three
digits, such as ``K042``, and does not begin with ``X``.

The same readings are files for a bucket: CSV, a file a station and day (:func:`files`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fanfold.simulator.exchange import Reply, Request, Route
from fanfold.simulator.mastodon import JSON, error, quota_headers, token

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "PREFIX",
    "TOKEN_REQUIRED",
    "delivery",
    "error",
    "files",
    "quota_headers",
    "route",
    "template",
    "token",
]

TOKEN_REQUIRED = False
PAGE = 200
PREFIX = "samples/weather/"
DAYS = 30
_PATH = re.compile(r"/v1/stations/([^/]+)/readings")
_STATION = re.compile(r"[A-WYZ][0-9]{3}")
_BROKEN = ("n/a", "", "-999.9", "err")


def readings(station: str, until: date) -> list[dict[str, Any]]:
    """Return the readings of the 30 days before a date, a function of station and date."""
    first = datetime(until.year, until.month, until.day, tzinfo=UTC) - timedelta(days=DAYS)
    seed = int.from_bytes(hashlib.blake2b(station.encode(), digest_size=4).digest())
    base, swing = seed % 25, 3 + seed % 7
    found = []
    for hour in range(24 * DAYS):
        at = first + timedelta(hours=hour)
        noise = hashlib.blake2b(f"{station} {at:%Y%m%d%H}".encode(), digest_size=4).digest()
        if noise[0] < 4:  # the station did not report
            continue
        season = 10 * math.sin(2 * math.pi * (at.timetuple().tm_yday - 110) / 365)
        day = swing * math.sin(2 * math.pi * (at.hour - 9) / 24)
        value: Any = round(base - 8 + season + day + noise[1] / 64, 1)
        if noise[2] < 3:
            value = _BROKEN[noise[3] % len(_BROKEN)]
        elif noise[2] < 8:
            value = None
        humidity = round(40 + noise[3] / 5, 1)
        found.append(
            {"measured_at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "temperature": value, "humidity": humidity}
        )
    return found


def files(until: date, days: int = 7) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files of three stations, of some days before a date.

    The names are ``YYYY-MM-DD/<station>.csv``. The second station has another order of columns, the
    third one a column more.
    """
    columns = ["station", "measured_at", "temperature", "humidity"]
    for station, header in (
        ("K042", columns),
        ("B107", columns[::-1]),
        ("S230", [*columns, "operator"]),
    ):
        by_day: dict[str, list[dict[str, Any]]] = {}
        for row in readings(station, until):
            by_day.setdefault(row["measured_at"][:10], []).append(row)
        for day in sorted(by_day)[-days:]:
            text = io.StringIO()
            writer = csv.DictWriter(text, header, lineterminator="\n")
            writer.writeheader()
            also = {"station": station, "operator": "ada"}
            for row in by_day[day]:
                every = also | row
                writer.writerow({name: every[name] for name in header})
            yield f"{day}/{station}.csv", text.getvalue().encode()


def delivery(today: date, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield key and content of the files of a delivery; a file that the first one lacks comes late."""
    made = [(f"{PREFIX}{name}", content) for name, content in files(today)]
    yield from made if number > 1 else made[:-1]


def _answer(request: Request) -> Reply:
    station = _requested(request)[0]
    try:
        until = date.fromisoformat(request.query.get("until", "2026-08-01"))
        start = int(request.query.get("cursor", "0"))
    except ValueError:
        return _json({"error": "until is a date, cursor a token of the response before"}, 422)
    if not _STATION.fullmatch(station):
        return error(request, 20003)
    found = readings(station, until)
    page = {
        "station": station,
        "readings": found[start : start + PAGE],
        "next": str(start + PAGE) if start + PAGE < len(found) else None,
    }
    return _json(page)


def _json(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value, separators=(",", ":")).encode(), JSON)


def _requested(request: Request) -> list[str]:
    found = _PATH.fullmatch(request.path)
    return [found[1]] if found else []


_ROUTE = Route(_answer, _requested)


def route(request: Request) -> Route | None:
    """Return the route of a request, if the API has one."""
    return _ROUTE if _PATH.fullmatch(request.path) else None


def template(path: str) -> str:
    """Return the path with ``{station}`` for the id of a station."""
    return "/v1/stations/{station}/readings" if _PATH.fullmatch(path) else path
