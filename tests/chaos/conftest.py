"""Kills, counted and timed; `make chaos` makes many, the ordinary test run a few of each kind.

FANFOLD_CHAOS=long        all write points, and several runs on Airflow's own scheduler
FANFOLD_CHAOS_SEED=7      the same kills at the same points and moments
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

LONG = os.environ.get("FANFOLD_CHAOS") == "long"
# Text, so that any will do.
_SEED = os.environ.get("FANFOLD_CHAOS_SEED") or str(random.SystemRandom().randrange(10**6))
_RECORDS = pytest.StashKey["Kills"]()


@dataclass
class Kills:
    """What was killed, and how long it took until it went on."""

    made: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    recovered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def kill(self, kind):
        """Note a kill."""
        self.made[kind] += 1

    def recover(self, kind, seconds, kills=1):
        """Note that what those kills ended went on after so many seconds."""
        self.recovered[kind] += [seconds] * kills

    def table(self):
        """Return lines of Markdown: a kind a line, and the sum."""
        yield "| killed | kills | recovered | median recovery | longest |"
        yield "|---|---:|---:|---:|---:|"
        for kind, made in self.made.items():
            times = self.recovered[kind]
            shown = f"{statistics.median(times):.2f} s | {max(times):.2f} s" if times else "– | –"
            yield f"| {kind} | {made} | {len(times)} | {shown} |"
        recovered = sum(map(len, self.recovered.values()))
        yield f"| together | {sum(self.made.values())} | {recovered} | | |"


def pytest_configure(config):
    config.stash[_RECORDS] = Kills()


def pytest_terminal_summary(terminalreporter, config):
    kills = config.stash.get(_RECORDS, None)
    if kills is not None and kills.made:
        terminalreporter.section(f"kills, seed {_SEED}")
        for line in kills.table():
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def kills(request):
    """Where kills are noted; their table stands at the end of the test run."""
    if _RECORDS not in request.config.stash:
        request.config.stash[_RECORDS] = Kills()
    return request.config.stash[_RECORDS]


@pytest.fixture(scope="session")
def long_form():
    """Whether there is time for all."""
    return LONG


@pytest.fixture
def chance(request):
    """Randomness of this test's own, and the seed in its output."""
    sys.stdout.write(f"FANFOLD_CHAOS_SEED={_SEED}\n")
    return random.Random(f"{_SEED} {request.node.name}")


@pytest.fixture(scope="module")
def run_stages():
    """A function that runs stages in a process of their own, and says how that ended."""
    command = [sys.executable, str(Path(__file__).with_name("driver.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as driver:

        def run(given, *stages, kill_at=None, count=False):
            request = {**given, "stages": stages, "kill_at": kill_at, "count": count}
            driver.stdin.write(json.dumps(request) + "\n")
            line = driver.stdout.readline()
            assert line, "the driver has ended"
            return json.loads(line)

        yield run
        driver.stdin.close()
        driver.wait(30)
