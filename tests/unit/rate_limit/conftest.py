"""A virtual clock, so that no test waits."""

from __future__ import annotations

import pytest


class VirtualClock:
    """Time that passes only while somebody waits; ``at`` schedules what happens meanwhile."""

    def __init__(self):
        self.time = 10_000.0
        self.waits = 0
        self._scheduled = []

    def now(self):
        return self.time

    def at(self, seconds, action):
        """Call ``action`` when so many seconds have passed."""
        self._scheduled.append((self.time + seconds, action))

    def wait(self, stop, seconds):
        self.waits += 1
        assert self.waits < 10_000, "it waits for ever"
        end = self.time + seconds
        for moment, action in sorted(self._scheduled, key=lambda one: one[0]):
            if moment <= end and not stop.is_set():
                self.time = max(self.time, moment)
                self._scheduled.remove((moment, action))
                action()
        if not stop.is_set():
            self.time = end
        return stop.is_set()


@pytest.fixture
def clock():
    return VirtualClock()
