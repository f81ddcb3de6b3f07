"""The workers: slots, and the cores that those who hold them share."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from sharing import Shared

if TYPE_CHECKING:
    from parameters import Cluster
    from simpy import Environment, Event


class Fleet:
    """All workers and the queue before them.

    Args:
        env: The simulation.
        cluster: How many there are, and what they have.

    Attributes:
        held: Seconds for which slots were held, of all slots together.
    """

    def __init__(self, env: Environment, cluster: Cluster) -> None:
        self._env = env
        self._free = [cluster.slots] * cluster.workers
        self._hosts = [
            Shared(env, cluster.cores or math.inf, each=1.0)
            for _ in range(cluster.hosts or cluster.workers)
        ]
        self._queue: deque[Event] = deque()
        self.held = 0.0

    def slot(self) -> Event:
        """Return the event of a slot being free for the caller; its value is the worker."""
        event = self._env.event()
        self._queue.append(event)
        self._hand_out()
        return event

    def give_back(self, worker: int, since: float) -> None:
        """Give a slot back that was held since a moment."""
        self.held += self._env.now - since
        self._free[worker] += 1
        self._hand_out()

    def cores_of(self, worker: int) -> Shared:
        """Return the cores that a worker's tasks share."""
        return self._hosts[worker % len(self._hosts)]

    @property
    def core_seconds(self) -> float:
        """What all cores have worked."""
        return sum(host.done for host in self._hosts)

    def _hand_out(self) -> None:
        while self._queue:
            # The idlest worker asks for a message first.
            most = max(self._free)
            if not most:
                return
            worker = self._free.index(most)
            self._free[worker] -= 1
            self._queue.popleft().succeed(worker)
