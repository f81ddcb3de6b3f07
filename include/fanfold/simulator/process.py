"""Run a simulator as a child process, for tests and benchmarks."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fanfold.errors import BadConfiguration
from fanfold.simulator.child import listening
from fanfold.simulator.options import parse

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator: its URL (``http://127.0.0.1:40123``), access token and process id."""

    url: str
    token: str
    pid: int

    def control(self, **settings: Any) -> dict[str, Any]:
        """Change settings (docs/simulator.md), reset quota and attempts, return all settings.

        Raises:
            BadConfiguration: A setting is invalid; nothing was changed.
        """
        return self._call("POST", "/_control", settings)

    def stats(self, uid: str | None = None, *, all_uids: bool = False) -> dict[str, Any]:
        """Return the statistics, or the number of requests for one uid."""
        query = f"?uid={quote(uid, safe='')}" if uid is not None else "?uids=all" * all_uids
        return self._call("GET", f"/_stats{query}")

    def reset(self) -> None:
        """Restore the initial settings and reset all counters."""
        self._call("DELETE", "/_control")
        self._call("POST", "/_stats/reset")

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        try:
            with _DIRECT.open(request, timeout=30) as answer:
                result: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                message = json.load(error)["error"]
            raise BadConfiguration(f"The simulator rejected {method} {path}: {message}") from None
        return result


# Never use a proxy for loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def running(*options: str) -> Iterator[Simulator]:
    """Run a simulator on a free port within a ``with`` block.

    Options are those of the command line, such as ``"--quota-per-hour", "100"``.

    Raises:
        BadConfiguration: The simulator did not start.
        SystemExit: An option is invalid.
    """
    token = parse(options).settings.token
    command = [sys.executable, "-m", "fanfold.simulator", "--until-stdin-closes", *options]
    with listening(command, "The simulator") as ready:
        yield Simulator(ready["url"], token, ready["pid"])
