"""When a component that died begins again, and when the stack is given up."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_DEATHS = 5
"""Deaths of one component within :data:`WINDOW_S` that make a stack give up."""
WINDOW_S = 300.0
"""Seconds for which a death counts."""
_LONGEST_WAIT_S = 8.0


@dataclass(slots=True)
class Restarts:
    """The deaths of a stack's components. Times are seconds of a monotonic clock.

    Attributes:
        counts: How often each component has begun again.
    """

    counts: dict[str, int] = field(default_factory=dict)
    _deaths: dict[str, list[float]] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)

    def died(self, name: str, now: float) -> float | None:
        """Note a death; return the seconds until the component begins again, None to give up.

        At once after the first death, then after 1, 2, 4 seconds: what dies at its start would
        otherwise keep a core busy with starting.
        """
        recent = [at for at in self._deaths.get(name, []) if now - at < WINDOW_S]
        self._deaths[name] = [*recent, now]
        if len(recent) + 1 >= MOST_DEATHS:
            return None
        wait = min(_LONGEST_WAIT_S, 2.0 ** (len(recent) - 1)) if recent else 0.0
        self._due[name] = now + wait
        return wait

    def begin_with(self, name: str, now: float) -> None:
        """Note that a component has to begin again that died through no fault of its own."""
        self._due[name] = now

    def due(self, now: float) -> list[str]:
        """Return the components that should begin now; they stay due until :meth:`began`."""
        return [name for name, at in self._due.items() if now >= at]

    def began(self, name: str) -> None:
        """Note that a component has begun again."""
        del self._due[name]
        self.counts[name] = self.counts.get(name, 0) + 1
