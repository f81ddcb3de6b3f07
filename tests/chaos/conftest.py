"""Count and time kills; `make chaos` makes many, `make test` a few of each kind.

FANFOLD_CHAOS=long        all kill points, and several runs on Airflow's own scheduler
FANFOLD_CHAOS_SEED=7      the same kills at the same points
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
# Any text.
_SEED = os.environ.get("FANFOLD_CHAOS_SEED") or str(random.SystemRandom().randrange(10**6))
_RECORDS = pytest.StashKey["Kills"]()


@dataclass
class Kills:
    """What was killed, and how long the recovery took."""

    made: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    recovered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def kill(self, kind):
        """Note a kill."""
        self.made[kind] += 1

    def recover(self, kind, seconds, kills=1):
        """Note that the work of ``kills`` kills continued after ``seconds``."""
        self.recovered[kind] += [seconds] * kills

    def table(self):
        """Yield the lines of a Markdown table with a row per kind and the total."""
        yield "| killed | kills | recovered | median recovery | longest |"
        yield "|---|---:|---:|---:|---:|"
        for kind, made in self.made.items():
            times = self.recovered[kind]
            shown = f"{statistics.median(times):.2f} s | {max(times):.2f} s" if times else "– | –"
            yield f"| {kind} | {made} | {len(times)} | {shown} |"
        recovered = sum(map(len, self.recovered.values()))
        yield f"| total | {sum(self.made.values())} | {recovered} | | |"


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
    """The kills so far; the test run ends with their table."""
    if _RECORDS not in request.config.stash:
        request.config.stash[_RECORDS] = Kills()
    return request.config.stash[_RECORDS]


@pytest.fixture(scope="session")
def long_form():
    """Whether to make all kills."""
    return LONG


@pytest.fixture
def chance(request):
    """A random generator for this test; the output has its seed."""
    sys.stdout.write(f"FANFOLD_CHAOS_SEED={_SEED}\n")
    return random.Random(f"{_SEED} {request.node.name}")


@pytest.fixture(scope="module")
def run_stages():
    """A function that runs stages in a process and returns its result."""
    command = [sys.executable, str(Path(__file__).with_name("stage_runner.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as runner:

        def run(given, *stages, kill_at=None, count=False):
            request = {**given, "stages": stages, "kill_at": kill_at, "count": count}
            runner.stdin.write(json.dumps(request) + "\n")
            line = runner.stdout.readline()
            assert line, "the stage runner has ended"
            return json.loads(line)

        yield run
        runner.stdin.close()
        runner.wait(30)
