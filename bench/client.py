"""What a request costs in CPU, by client: `python bench/client.py [--requests 3000]`.

One thread asks the simulator for profiles, one after the other, with each client in turn; the
figures are the CPU of this process alone, per request, parsed JSON included.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
import urllib3

from fanfold import sources
from fanfold.simulator.process import Simulator, running
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.http import Client

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_UID = 2_000_000_000
PATH = "/2/users/show.json"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure HTTP clients.")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with running() as simulator:
        contenders = clients(simulator)
        taken: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, ask in contenders.items():
                taken[name].append(microseconds(ask, options.requests))
    base = statistics.median(taken["requests: Session.get"])
    print(f"CPU per request, median of {options.rounds} × {options.requests} requests")
    for name, figures in taken.items():
        median = statistics.median(figures)
        print(f"  {name:40} {median:6.0f} µs  ×{median / base:.2f}")


def clients(simulator: Simulator) -> dict[str, Callable[[str], object]]:
    """Return a function for each client that asks for one user."""
    address = urlsplit(simulator.url)
    host, port = str(address.hostname), int(address.port or 0)
    headers = {"Authorization": f"OAuth2 {simulator.token}"}
    session = requests.Session()
    bare = requests.Session()
    bare.trust_env = False
    template = bare.prepare_request(requests.Request("GET", simulator.url, headers=headers))
    pool = urllib3.HTTPConnectionPool(host, port, maxsize=1)
    plain = http.client.HTTPConnection(host, port)
    endpoint = Endpoint("weibo_default", simulator.url, token=simulator.token)
    client = Client(sources.get("weibo"), endpoint)

    def prepared(uid: str) -> object:
        request = template.copy()
        request.url = f"{simulator.url}{PATH}?uid={uid}"
        return bare.send(request, timeout=30, allow_redirects=False).json()

    def standard(uid: str) -> object:
        plain.request("GET", f"{PATH}?uid={uid}", headers=headers)
        return json.loads(plain.getresponse().read())

    return {
        "requests: Session.get": lambda uid: session.get(
            simulator.url + PATH, params={"uid": uid}, headers=headers, timeout=30
        ).json(),
        "requests: prepared, Session.send": prepared,
        "Fanfold: requests' adapter and pool": client.look_up,
        "urllib3: pool.urlopen": lambda uid: json.loads(
            pool.urlopen("GET", f"{PATH}?uid={uid}", headers=headers).data
        ),
        "http.client": standard,
    }


def microseconds(ask: Callable[[str], object], count: int) -> float:
    """Return the CPU time of a request."""
    start = time.process_time()
    for number in range(count):
        ask(str(FIRST_UID + number))
    return (time.process_time() - start) / count * 1e6


if __name__ == "__main__":
    main()
