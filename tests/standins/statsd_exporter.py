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
import threading
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric as Family

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = {"c": "counter", "g": "gauge", "ms": "observer"}
LINE = re.compile(
    r"(?P<name>[^:,#]+)(?P<tags>(?:,[^:,=#]+=[^:,#]+)*)"
    r":(?P<value>[+-]?[\d.]+(?:e[+-]?\d+)?)\|(?P<type>c|g|ms)(?:\|@(?P<rate>[\d.]+))?"
)
Labels = tuple[tuple[str, str], ...]


class Event(NamedTuple):
    """A received value."""

    name: str
    type: str
    value: float
    relative: bool
    labels: Labels


def parse(line: str) -> Event:
    """Parse a line with tags in InfluxDB's format: ``name,tag=value,…:1|c``.

    Counters are divided by their sampling rate (``|@0.1``); milliseconds are converted to seconds.
    """
    found = LINE.fullmatch(line)
    rate = float(found["rate"] or 1) if found else 0
    if not found or not 0 < rate <= 1 or (rate < 1 and found["type"] == "ms"):
        raise ValueError(f"{line!r} is not supported")
    value = float(found["value"]) / {"c": rate, "g": 1, "ms": 1000}[found["type"]]
    pairs = (tag.split("=", 1) for tag in found["tags"].split(",")[1:])
    labels = tuple(sorted((escaped(key), label) for key, label in pairs))
    return Event(found["name"], TYPES[found["type"]], value, found["value"][0] in "+-", labels)


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

    def name_of(self, event: Event) -> str | None:
        """Return the metric's name for an event, or None if the rule does not match it."""
        glob = "^" + re.escape(self.match).replace(r"\*", "([^.]*)") + "$"
        found = re.search(glob if self.match_type == "glob" else self.match, event.name)
        if found is None or self.match_metric_type not in {None, event.type}:
            return None
        return escaped(re.sub(r"\$\{(\d+)\}", lambda group: found[int(group[1])], self.name))


class Exporter:
    """Adds up values, and is a collector of prometheus_client.

    Args:
        mapping: The text of the mapping file.
    """

    def __init__(self, mapping: str) -> None:
        config = yaml.safe_load(mapping)
        options = config["defaults"]["histogram_options"]
        self._bounds = [*map(float, options["buckets"]), float("inf")]
        # Globs take precedence over regular expressions.
        self._rules = sorted(
            (Rule(**each) for each in config["mappings"]), key=lambda each: each.match_type
        )
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str], dict[Labels, float]] = {}
        self._counts: dict[tuple[str, Labels], list[int]] = {}
        self._own = dict.fromkeys(("lines", "sample_errors"), 0)

    def take(self, packet: bytes) -> None:
        """Count the values in a packet, one a line."""
        with self._lock:
            for line in packet.decode().splitlines():
                self._own["lines"] += 1
                try:
                    self._count(parse(line))
                except ValueError as error:
                    print(error, file=sys.stderr, flush=True)  # noqa: T201
                    self._own["sample_errors"] += 1

    def _count(self, event: Event) -> None:
        names = ((rule, rule.name_of(event)) for rule in self._rules)
        rule, name = next((found for found in names if found[1]), (None, escaped(event.name)))
        if rule and rule.action == "drop":
            return
        values = self._values.setdefault((name, event.type), {})
        if event.type == "observer":
            counts = self._counts.setdefault((name, event.labels), [0] * len(self._bounds))
            counts[sum(bound < event.value for bound in self._bounds)] += 1
        absolute = event.type == "gauge" and not event.relative
        before = 0.0 if absolute else values.get(event.labels, 0.0)
        values[event.labels] = before + event.value

    def collect(self) -> Iterator[Family]:
        """Yield all metrics."""
        with self._lock:
            for (name, kind), values in self._values.items():
                family = Family(
                    name.removesuffix("_total"), name, kind.replace("observer", "histogram")
                )
                for labels, value in values.items():
                    if kind == "observer":
                        self._add_buckets(family, labels, value)
                    else:
                        family.add_sample(name, dict(labels), value)
                yield family
            for name, count in self._own.items():
                family = Family(f"statsd_exporter_{name}", "Of the exporter itself.", "counter")
                family.add_sample(f"statsd_exporter_{name}_total", {}, count)
                yield family

    def _add_buckets(self, family: Family, key: Labels, total: float) -> None:
        name, labels, counts = family.name, dict(key), self._counts[family.name, key]
        for bound, count in zip(self._bounds, accumulate(counts), strict=True):
            le = "+Inf" if bound == float("inf") else f"{bound:g}"
            family.add_sample(f"{name}_bucket", {**labels, "le": le}, count)
        family.add_sample(f"{name}_sum", labels, total)
        family.add_sample(f"{name}_count", labels, sum(counts))


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
