"""The simulator for tests of fetching."""

from __future__ import annotations

import pytest

from fanfold.simulator.process import running


@pytest.fixture(scope="module")
def server():
    """One simulator for the tests of a file."""
    with running() as simulator:
        yield simulator


@pytest.fixture
def simulator(server):
    """The simulator, with its settings and counters as at the start."""
    server.reset()
    return server
