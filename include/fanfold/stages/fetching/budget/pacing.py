"""How much a budget gives, and when: pure arithmetic on a small state, the same for every store.

Each request gets a slot of its own. What counts is pyrate-limiter's sliding window log: a slot is
free where the window before it holds fewer slots than the budget, so what was missed may be made up
for. Windows are a little longer than a second, so that no second holds too many even where a request
reaches the server later than its slot. The log is kept in cells, so that it stays small. Slots are
paced besides, a little faster than the budget, so that a window's requests do not come at once.

``budget.lua`` is the same for Redis; a test holds the two against each other. All times are whole
microseconds of the store's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pyrate_limiter import Rate, SlidingWindowLog

from fanfold.errors import BadConfiguration
from fanfold.stages.fetching.budget.log import Log

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND: Final = 1_000_000
MARGIN: Final = 0.035
"""By this part windows are longer than the budget says. Of two requests, one may so reach the server
35 ms later than the other, each counted from its slot, and no second holds too many."""
HOUR: Final = 3601 * SECOND
"""An hour, and a second for requests that arrive later than their slot."""
HOUR_CELL: Final = 30 * SECOND
AHEAD: Final = SECOND // 25
"""Slots are given away so long before they begin, at most. Less, and a thread that wakes late finds
its slot gone by; more, and a process that dies takes more with it."""
LEASE: Final = SECOND // 50
"""A lease has the slots of so long, at most, and fewer than wanted only where the first of them is
that near: a budget that is used up is asked for in handfuls, not for each slot as it comes."""
FORGET_LANE: Final = 60 * SECOND
TOO_LATE: Final = SECOND * 2 // 5
"""A slot that went by longer ago is not moved: the windows behind it are given away already."""

_MOST: Final = 1_000_000_000
_LOG: Final = SlidingWindowLog()


@dataclass(frozen=True)
class Lane:
    """The slots of one rate: so many in a window.

    Attributes:
        limit: Slots in a window.
        window: Its length, in microseconds.
    """

    limit: int
    window: int

    @classmethod
    def of(cls, requests_per_second: float) -> Self:
        """Return the lane of a rate; below one a second, it is one in so many seconds."""
        limit = max(1, int(requests_per_second))
        return cls(limit, ceil(SECOND * (1 + MARGIN) * limit / requests_per_second))

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the lane that has this name in a state."""
        limit, window = name.split(":")
        return cls(int(limit), int(window))

    @property
    def name(self) -> str:
        """The lane's name in a state."""
        return f"{self.limit}:{self.window}"

    @property
    def gap(self) -> int:
        """Microseconds from slot to slot, at least: an eighth faster than the budget."""
        return self.window * 7 // (self.limit * 8)

    @property
    def lease(self) -> int:
        """Slots that are given away at once, at most."""
        return max(1, LEASE // self.gap)

    @property
    def cell(self) -> int:
        """Microseconds whose slots are kept as one number."""
        return self.window // 100

    @cached_property
    def rate(self) -> Rate:
        """The lane as pyrate-limiter wants it, in microseconds for its milliseconds."""
        return Rate(self.limit, self.window)

    def faster_than(self, other: Lane) -> bool:
        """Tell whether the lane allows more than another."""
        return self.limit * other.window > other.limit * self.window


@dataclass(frozen=True, slots=True)
class Terms:
    """What one task may ask for.

    Attributes:
        lane: Slots of its requests per second, or None.
        per_hour: Requests per hour, or None.
    """

    lane: Lane | None
    per_hour: int | None

    @classmethod
    def of(cls, requests_per_second: float | None, requests_per_hour: float | None) -> Self:
        """Return the terms for a connection's numbers.

        Raises:
            BadConfiguration: A number is too small or too large to be meant.
        """
        for key, value, least in (
            ("requests_per_second", requests_per_second, 1 / 3600),
            ("requests_per_hour", requests_per_hour, 1),
        ):
            if value is not None and not least <= value <= _MOST:
                raise BadConfiguration(
                    f"{key} is {value}, but must be from {least:.4g} to {_MOST:,}, or left out."
                )
        return cls(
            None if requests_per_second is None else Lane.of(requests_per_second),
            None if requests_per_hour is None else int(requests_per_hour),
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """Leave for some requests.

    Attributes:
        now: The store's time.
        slots: When each request may leave.
    """

    now: int
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """No leave yet.

    Attributes:
        wait: Microseconds from now until asking again may help.
        why: ``pace``: the next slots are given away; ``hour``: the hour's budget is spent; ``hold``:
            nobody may ask.
        reason: Why there is a hold.
    """

    wait: int
    why: Literal["pace", "hour", "hold"]
    reason: str = ""


@dataclass(slots=True)
class Traffic:
    """What went through a lane.

    Attributes:
        free_at: When its next slot may be, by the pace.
        log: Its slots.
    """

    free_at: int = 0
    log: Log = field(default_factory=Log)


@dataclass(slots=True)
class State:
    """What all tasks of a connection share.

    Attributes:
        at: When it was written.
        lanes: The lanes in use, by name.
        hour: The slots of the last hour.
        held_until: End of the hold; 0 for none.
        reason: Why there is a hold.
    """

    at: int
    lanes: dict[str, Traffic] = field(default_factory=dict)
    hour: Log = field(default_factory=Log)
    held_until: int = 0
    reason: str = ""

    @classmethod
    def after_loss(cls, now: int, lane: Lane | None) -> Self:
        """Return the state to begin with where an earlier one may have been lost.

        Its last window may have been full, so the first slot is a window away.
        """
        state = cls(now)
        if lane is not None:
            state.lanes[lane.name] = Traffic(now + lane.window)
        return state

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Return the state that ``to_json`` wrote.

        Raises:
            ValueError, TypeError, KeyError: It is something else.
        """
        lanes = {
            Lane.named(name).name: Traffic(int(free_at), Log.from_json(log))
            for name, (free_at, log) in raw["lanes"].items()
        }
        hour = Log.from_json(raw["hour"])
        return cls(int(raw["at"]), lanes, hour, int(raw["held_until"]), str(raw["reason"]))

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain lists and numbers."""
        return {
            "at": self.at,
            "lanes": {name: [lane.free_at, lane.log.cells] for name, lane in self.lanes.items()},
            "hour": self.hour.cells,
            "held_until": self.held_until,
            "reason": self.reason,
        }

    def shift(self, by: int) -> None:
        """Move everything in time, because the clock that it was written by has been moved."""
        self.at += by
        for traffic in self.lanes.values():
            traffic.free_at += by
            traffic.log.shift(by)
        self.hour.shift(by)
        if self.held_until:
            self.held_until += by

    def held(self, now: int) -> Refusal | None:
        """Return the hold that stands, if one does."""
        return (
            Refusal(self.held_until - now, "hold", self.reason) if self.held_until > now else None
        )

    def hold(self, now: int, length: int, reason: str) -> None:
        """Hold everybody for so long; a longer hold that stands is kept."""
        if now + length > self.held_until:
            self.held_until, self.reason = now + length, reason
        self.at = now

    def take(
        self, now: int, terms: Terms, wanted: int, unused: Sequence[int] = (), slack: int = 0
    ) -> Lease | Refusal:
        """Lease slots.

        Args:
            now: The time.
            terms: What the task may ask for.
            wanted: Requests that want leave.
            unused: Slots that were leased and not used, as the log holds them; they are given back.
            slack: By how much later than a slot its request may leave. The log holds the later
                moment, so a task whose threads wake late takes a little more room.
        """
        self.give_back(terms.lane, unused)
        refusal = self.held(now)
        if refusal is not None or wanted < 1:
            return refusal or Refusal(0, "pace")
        if terms.per_hour is not None:
            self.hour.forget(now - HOUR)
            wait = _wait(Rate(terms.per_hour, HOUR), self.hour, now, 1)
            if wait:
                return Refusal(wait, "hour")
            wanted = min(wanted, terms.per_hour - self.hour.count(now - HOUR))
        slots = self._pace(now, terms.lane, wanted, slack) if terms.lane else (now,) * wanted
        if not isinstance(slots, Refusal):
            self.at = now
            if terms.per_hour is not None:
                self.hour.add(slots[-1], len(slots), HOUR_CELL)
            return Lease(now, slots)
        return slots

    def give_back(self, lane: Lane | None, unused: Sequence[int]) -> None:
        """Take slots out of the logs again whose requests were not made."""
        if unused and lane is not None:
            for each in self._lanes_from(lane):
                for slot in unused:
                    self.lanes[each.name].log.remove(slot, each.cell)
        self.hour.drop(len(unused))

    def move(self, now: int, lane: Lane, slot: int, slack: int = 0) -> Lease | Refusal:
        """Move a slot that went by to now.

        It is a slot of the same windows as before, and of those that begin between: nothing that
        was given away behind it becomes too much. ``slot`` is the moment that the log holds.
        """
        refusal = self.held(now)
        if refusal is not None or now - slot > TOO_LATE:
            return refusal or Refusal(0, "pace")
        for each in self._lanes_from(lane):
            log = self.lanes[each.name].log
            log.remove(slot, each.cell)
            log.add(now + slack, 1, each.cell)
        self.at = now
        return Lease(now, (now,))

    def _lanes_from(self, own: Lane) -> list[Lane]:
        """Return a task's own lane, and those of tasks that may do more.

        Its requests count in all of them: so it stays under its own number, and all together under
        the largest.
        """
        lanes = [Lane.named(name) for name in self.lanes]
        if own.name not in self.lanes:
            # What tasks that may do less did in the last second counts here, too.
            less = [lane for lane in lanes if own.faster_than(lane)]
            most = max(less, key=lambda lane: lane.limit / lane.window, default=None)
            log = self.lanes[most.name].log.copy() if most else Log()
            self.lanes[own.name] = Traffic(0, log)
        return [own, *(lane for lane in lanes if lane.faster_than(own))]

    def _pace(self, now: int, own: Lane, wanted: int, slack: int) -> tuple[int, ...] | Refusal:
        lanes = self._lanes_from(own)
        for lane in lanes:
            self.lanes[lane.name].log.forget(now - lane.window)
        slot = max(now, self.lanes[own.name].free_at)
        wanted = min(wanted, own.lease)
        slots: list[int] = []
        for number in range(1, wanted + 1):
            for lane in lanes:
                slot += _wait(lane.rate, self.lanes[lane.name].log, slot, number)
            if slot > now + AHEAD:
                break
            slots.append(slot)
            slot += own.gap
        first = slots[0] if slots else slot
        if len(slots) < wanted and first > now + LEASE:
            return Refusal(first - now - LEASE, "pace")
        for lane in lanes:
            for each in slots:
                self.lanes[lane.name].log.add(each + slack, 1, lane.cell)
        self.lanes[own.name].free_at = slots[-1] + own.gap
        self.lanes = {
            name: traffic
            for name, traffic in self.lanes.items()
            if traffic.log.cells
            and traffic.log.cells[-1][0] + max(FORGET_LANE, Lane.named(name).window) > now
        }
        return tuple(slots)


def _wait(rate: Rate, log: Log, slot: int, number: int) -> int:
    """Return microseconds from ``slot`` until there is room for so many more; 0 where there is."""
    count = log.count(_LOG.window_start(rate, slot))
    decision = _LOG.decide([rate], [count], number, slot, log.latest)
    return 0 if decision.allowed else decision.retry_after_ms or 0
