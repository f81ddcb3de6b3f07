import sys
from pathlib import Path

import pytest

CLUSTER = Path(__file__).resolve().parents[4] / "bench" / "cluster"


@pytest.fixture(autouse=True)
def _cluster(bench, monkeypatch):  # noqa: ARG001 - that one forgets the modules afterwards
    """The modules of the simulation find each other in their folder, too."""
    monkeypatch.setattr(sys, "path", [str(CLUSTER), *sys.path])


@pytest.fixture
def free():
    """A cluster in which nothing takes any time, with as much of everything as one likes."""
    from parameters import Cluster

    costs = {
        name: 0.0
        for name in Cluster.__slots__
        if name.endswith("_s") and not name.endswith("_per_s") and name != "defer_after_s"
    }
    plenty = {"cores": 0, "parallelism": 100_000, "max_active_tasks": 100_000}
    rates = {"statements_per_s": 0, "bytes_per_s": 0, "files_per_s": 0, "bytes_per_item": 0}
    return Cluster().changed({**costs, **plenty, **rates, "schedulers": 1, "files_per_batch": 0})
