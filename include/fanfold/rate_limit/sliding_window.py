"""The rate-limiting algorithm: pyrate-limiter's GCRA for the pace, sliding windows for the limits.

GCRA alone is not enough: with a burst equal to the limit it lets up to twice the limit through in
one window, and with a smaller burst the time that a late thread misses is lost. So GCRA spaces the
requests, slightly faster than the limit, and the permits of the last second and the last hour are
counted in cells of a fixed width, so that the state stays small at any rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING, Final

from pyrate_limiter import GCRA, Decision, Rate

from fanfold.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrate_limiter.abstracts.algorithm import State

SECOND_MS: Final = 1035
"""Length of a one-second window: requests that reach the server up to 35 ms apart from their
permits still never exceed the limit."""
HOUR_MS: Final = 3_601_000
CELL_MS: Final = (10, 30_000)
"""Resolution of the window of a second and of an hour."""
CELLS: Final = 128
"""Cells kept for each window: more than fit into one at these widths."""
SPEEDUP: Final = 8 / 7
"""Pace relative to the limit, so that missed time can be made up for."""
UNLIMITED: Final = 1_000_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of one connection.

    Attributes:
        per_second: Requests in any second, or None. Below 1, requests are ``1 / n`` seconds apart.
        per_hour: Requests in any 60 minutes, or None.

    Raises:
        BadConfiguration: A limit is out of range.
    """

    per_second: float | None
    per_hour: float | None

    def __post_init__(self) -> None:
        for key, value, least in (
            ("requests_per_second", self.per_second, 1 / 3600),
            ("requests_per_hour", self.per_hour, 1),
        ):
            if value is not None and not least <= value <= UNLIMITED:
                raise BadConfiguration(
                    f"{key} is {value}, but must be between {least:.4g} and {UNLIMITED:,}, or unset."
                )

    @cached_property
    def rates(self) -> list[Rate]:
        """The pace, the limit of a second and the limit of an hour, as ``SlidingWindow`` expects."""
        hour = Rate(int(self.per_hour or UNLIMITED), HOUR_MS)
        if self.per_second is None:
            return [
                Rate(UNLIMITED, SECOND_MS, min(1000, hour.limit)),
                Rate(UNLIMITED, SECOND_MS),
                hour,
            ]
        limit = ceil(self.per_second)
        interval = ceil(SECOND_MS * limit / self.per_second)
        burst = min(max(3, limit // 10), limit, hour.limit)
        return [Rate(limit, int(interval / SPEEDUP), burst), Rate(limit, interval), hour]

    @property
    def batch(self) -> int:
        """Permits to take at once: 20 ms worth of requests."""
        return max(1, self.rates[0].burst // 5)


class SlidingWindow(GCRA):
    """GCRA, and a limit for each sliding window of a second and of an hour.

    The state is ``(tat, n, n numbers of the second, numbers of the hour)``: GCRA's theoretical
    arrival time, and per window pairs of a cell's number and its permits, oldest first. An empty
    state is one that was lost: permits start after a whole window.
    """

    def step(
        self, rates: list[Rate], state: State, now: int, weight: int
    ) -> tuple[State, Decision]:
        """Take ``weight`` permits at ``now`` (ms), or return how long to wait."""
        if not state:
            emission, burst, block = self.redis_args(rates)[:3]
            state = ((now + block) * 1000 + burst * emission, 0)
        tat, length, *numbers = map(int, state)
        logs = (numbers[:length], numbers[length:])
        for rate, log, width in reversed(list(zip(rates[1:], logs, CELL_MS, strict=True))):
            if wait := _wait(rate, log, width, now, weight):
                return state, Decision(rate, wait)
        tats, decision = super().step(rates[:1], (tat,), now, weight)
        if not decision.allowed:
            return state, decision
        for log, width in zip(logs, CELL_MS, strict=True):
            _add(log, now // width, weight)
        return (*tats, len(logs[0]), *logs[0], *logs[1]), decision

    def initial(self, rates: list[Rate]) -> State:  # noqa: ARG002
        """Return the state of a key that has never been used."""
        return (0, 0)

    def redis_script(self) -> str:
        """Return the Lua script of ``step``, which runs GCRA's script for the pace."""
        gcra = super().redis_script()
        return _lua().replace("--GCRA--", gcra or "")

    def redis_args(self, rates: list[Rate]) -> list[int | float]:
        """Return emission interval (µs), burst, wait after a loss (ms), and the two windows."""
        pace, second, hour = rates
        windows = zip((second, hour), CELL_MS, strict=True)
        return [
            *super().redis_args([pace]),
            second.interval,
            *(value for rate, cell in windows for value in (rate.limit, rate.interval, cell)),
        ]


@cache
def _lua() -> str:
    return files(__package__).joinpath("sliding_window.lua").read_text()


def _wait(rate: Rate, log: Sequence[int], width: int, now: int, weight: int) -> int:
    """Return the milliseconds until ``weight`` permits fit into the window; 0 if they do."""
    room = rate.limit - weight
    for i in range(len(log) - 2, -1, -2):
        # A cell counts until its last moment has left the window.
        left = (log[i] + 1) * width + rate.interval - now
        if left <= 0:
            break
        room -= log[i + 1]
        if room < 0:
            return left
    return 0


def _add(log: list[int], cell: int, weight: int) -> None:
    if log and log[-2] == cell:
        log[-1] += weight
    else:
        log += (cell, weight)
        del log[: -2 * CELLS]
