"""A replacement for Prometheus's statsd_exporter, which no package registry has.

    python statsd_exporter.py --statsd.mapping-config=statsd.yaml \
        --statsd.listen-udp=:9125 --web.listen-address=:9102

It takes the same options, mapping file and lines, as far as Fanfold's metrics use them; it reports
anything else as an error. Source: README, ``pkg/line`` and ``pkg/mapper`` of prometheus/statsd_exporter.
"""

from __future__ import annotations

import argparse
import re
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = {"c": "counter", "g": "gauge", "ms": "observer"}
KINDS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "observer": Histogram}
LINE = re.compile(
    r"(?P<name>[^:,#]+)(?P<tags>(?:,[^:,=#]+=[^:,#]+)*)"
    r":(?P<value>[+-]?[\d.]+(?:e[+-]?\d+)?)\|(?P<type>c|g|ms)(?:\|@(?P<rate>0\.\d*[1-9]))?"
)
"""A line with tags in InfluxDB's format: ``name,tag=value,…:1|c``, perhaps with a sampling rate."""


def escaped(name: str) -> str:
    """Return a valid Prometheus name."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", re.sub(r"^(?=\d)", "_", name))


@dataclass(frozen=True)
class Rule:
    """An entry of the mapping file."""

    match: str
    name: str
    match_type: str = "glob"
    match_metric_type: str | None = None
    action: str = "map"
    help: str = ""  # not used
    ttl: str = ""  # not used

    def name_of(self, statsd: str, kind: str) -> str | None:
        """Return the metric's name in Prometheus, or None if the rule does not match it."""
        glob = "^" + re.escape(self.match).replace(r"\*", "([^.]*)") + "$"
        found = re.search(glob if self.match_type == "glob" else self.match, statsd)
        if found is None or self.match_metric_type not in {None, kind}:
            return None
        return escaped(re.sub(r"\$\{(\d+)\}", lambda group: found[int(group[1])], self.name))


class Exporter:
    """Adds up values, and is a collector of prometheus_client.

    Args:
        mapping: The text of the mapping file.
    """

    def __init__(self, mapping: str) -> None:
        config = yaml.safe_load(mapping)
        self._buckets = config["defaults"]["histogram_options"]["buckets"]
        # Globs take precedence over regular expressions.
        self._rules = sorted(
            (Rule(**each) for each in config["mappings"]), key=lambda each: each.match_type
        )
        # A name may occur with several sets of labels.
        self._metrics: dict[tuple[str, ...], Any] = {}
        self._lines = self._metric("counter", "statsd_exporter_lines_total", {})
        self._errors = self._metric("counter", "statsd_exporter_sample_errors_total", {})

    def take(self, packet: bytes) -> None:
        """Count the values in a packet, one a line."""
        for line in packet.decode().splitlines():
            self._lines.inc()
            try:
                self._count(line)
            except ValueError as error:
                print(error, file=sys.stderr, flush=True)  # noqa: T201
                self._errors.inc()

    def _count(self, line: str) -> None:
        found = LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{line!r} is not supported")
        kind = TYPES[found["type"]]
        names = ((rule, rule.name_of(found["name"], kind)) for rule in self._rules)
        rule, name = next((each for each in names if each[1]), (None, escaped(found["name"])))
        if rule and rule.action == "drop":
            return
        pairs = (tag.split("=", 1) for tag in found["tags"].split(",")[1:])
        metric = self._metric(kind, str(name), {escaped(key): label for key, label in pairs})
        value = float(found["value"])
        if kind == "observer":
            metric.observe(value / 1000)
        elif kind == "gauge" and found["value"][0] not in "+-":
            metric.set(value)
        else:
            metric.inc(value / float(found["rate"] or 1))

    def _metric(self, kind: str, name: str, labels: dict[str, str]) -> Any:
        key = (kind, name, *sorted(labels))
        if key not in self._metrics:
            options = {"buckets": self._buckets} if kind == "observer" else {}
            self._metrics[key] = KINDS[kind](name, name, key[2:], registry=None, **options)
        return self._metrics[key].labels(**labels) if labels else self._metrics[key]

    def collect(self) -> Iterator[Any]:
        """Yield all metrics."""
        for metric in list(self._metrics.values()):
            yield from metric.collect()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host or "0.0.0.0", int(port)  # noqa: S104 - the exporter's default


def main() -> None:
    """Receive until SIGTERM."""
    options = argparse.ArgumentParser()
    options.add_argument("--statsd.mapping-config", dest="mapping", type=Path, required=True)
    options.add_argument("--statsd.listen-udp", dest="udp", type=_address, required=True)
    # TCP is not supported.
    options.add_argument("--statsd.listen-tcp", choices=[""])
    options.add_argument("--web.listen-address", dest="web", type=_address, required=True)
    chosen = options.parse_args()
    # The first process of a container has no default handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    disable_created_metrics()
    exporter = Exporter(chosen.mapping.read_text("utf-8"))
    registry = CollectorRegistry()
    registry.register(exporter)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
        receiver.bind(chosen.udp)
        start_http_server(chosen.web[1], chosen.web[0], registry)
        while True:
            exporter.take(receiver.recv(65_535))


if __name__ == "__main__":
    main()
