"""The state of a budget in a small file, for the processes of one machine.

The file is a line of JSON, at most four kilobytes with both budgets, however large they are. It is guarded by a file lock, which the kernel lifts when its holder dies, and overwritten in
place: a write of less than a page is done whole or not at all when the process is killed. What a
crash of the machine leaves of it is not worth a wait for the disk.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from filelock import FileLock, Timeout

from fanfold.errors import BudgetUnavailable
from fanfold.stages.fetching.budget.pacing import SECOND, Lease, State
from fanfold.stages.fetching.budget.store import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fanfold.stages.fetching.budget.pacing import Terms

_log = logging.getLogger(__name__)
_LOCK_SECONDS: Final = 5.0
"""The lock is held for less than a millisecond: longer, and its holder is stopped."""
_LOCK_POLL: Final = 0.001
_REASON: Final = 300
"""Characters kept of a reason, so that the file stays within a page."""


class Instant(NamedTuple):
    """A moment on this machine.

    Attributes:
        boot: Tells one start of the machine from another.
        monotonic: Microseconds that only ever grow, the same for all processes until the next boot.
        wall: Microseconds of the wall clock, which may jump.
    """

    boot: str
    monotonic: int
    wall: int


def machine_clock() -> Callable[[], Instant]:
    """Return a clock that no change of the wall clock moves.

    ``time.monotonic`` is one clock for all processes of a machine on Linux, macOS and Windows.
    Where the system does not tell one boot from another, a clock that went back does.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            boot = file.read().strip()
    except OSError:
        boot = ""
    return lambda: Instant(boot, time.monotonic_ns() // 1000, time.time_ns() // 1000)


@dataclass(slots=True)
class FileStore:
    """A budget in a file.

    Attributes:
        path: The file. Its folder need not exist: it is made when there is something to keep.
        terms: What this process may ask for.
        clock: The time.
    """

    path: Path
    terms: Terms
    clock: Callable[[], Instant]
    _lock: FileLock = field(init=False)

    def __post_init__(self) -> None:
        # Each thread locks for itself. A lock that is a file that merely exists would outlive a
        # killed process: not fallen back to.
        self._lock = FileLock(
            self.path.with_name(f"{self.path.name}.lock"),
            timeout=_LOCK_SECONDS,
            poll_interval=_LOCK_POLL,
            fallback_to_soft=False,
        )

    def take(self, wanted: int, unused: Sequence[int], slack: int) -> Answer:
        """Lease slots for ``wanted`` requests, or fewer; give ``unused`` ones back."""
        with self._locked():
            now = self.clock()
            read_at = time.monotonic()
            state = self._read(now)
            given = state.take(now.monotonic, self.terms, wanted, unused, slack)
            if isinstance(given, Lease) or unused:
                self._write(state, now)
        return Answer(given, read_at, read_at)

    def move(self, slot: int, slack: int) -> Answer:
        """Lease a slot that begins now instead of one that went by."""
        if self.terms.lane is None:
            raise AssertionError("only slots of a lane can go by")
        with self._locked():
            now = self.clock()
            read_at = time.monotonic()
            state = self._read(now)
            given = state.move(now.monotonic, self.terms.lane, slot, slack)
            if isinstance(given, Lease):
                self._write(state, now)
        return Answer(given, read_at, read_at)

    def look(self) -> Answer:
        """Return the hold that stands, if one does."""
        try:
            kept = _parse(self.path.read_bytes())
        except FileNotFoundError:
            kept = None
        except OSError as error:
            raise self._unavailable(error) from error
        except (ValueError, TypeError, KeyError):
            # Read while it was written, or broken: with the lock one knows.
            return self._look_well()
        now = self.clock()
        read_at = time.monotonic()
        if kept is None:
            return Answer(None, read_at, read_at)
        if not kept.is_of(now):
            return self._look_well()
        return Answer(kept.state.held(now.monotonic), read_at, read_at)

    def _look_well(self) -> Answer:
        with self._locked():
            now = self.clock()
            read_at = time.monotonic()
            return Answer(self._read(now).held(now.monotonic), read_at, read_at)

    def hold(self, seconds: float, reason: str) -> None:
        """Hold everybody; a longer hold that stands is kept."""
        with self._locked():
            now = self.clock()
            state = self._read(now)
            state.hold(now.monotonic, int(seconds * SECOND), reason[:_REASON])
            self._write(state, now)

    def give_back(self, unused: Sequence[int]) -> None:
        """Give slots back that were not used."""
        with self._locked():
            now = self.clock()
            state = self._read(now)
            state.give_back(self.terms.lane, unused)
            self._write(state, now)

    def close(self) -> None:
        """Nothing stays open between two calls."""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            if not self.path.parent.is_dir():
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                yield
        except Timeout as error:
            raise BudgetUnavailable(
                f"The rate budget {self.path} has been locked for {_LOCK_SECONDS:g} s. A process "
                "that fetches is stopped: let it go on, or end it"
            ) from error
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> BudgetUnavailable:
        return BudgetUnavailable(
            f"The rate budget {self.path} cannot be read or written: {error.strerror}. Its folder "
            "must be a directory that every worker may write to"
        )

    def _read(self, now: Instant) -> State:
        try:
            kept = _parse(self.path.read_bytes())
        except FileNotFoundError:
            return State(now.monotonic)
        except (ValueError, TypeError, KeyError):
            _log.warning(
                "The rate budget %s was unreadable and begins anew: what was asked for in the last "
                "hour is forgotten.",
                self.path,
            )
            state = State.after_loss(now.monotonic, self.terms.lane)
            self._write(state, now)
            return state
        if not kept.is_of(now):
            # Another boot, with another zero of the clock: only the wall clock knows how long ago
            # it was. Where that went back, no time has passed, so that nothing is given twice.
            elapsed = max(0, now.wall - kept.wall)
            kept.state.shift(now.monotonic - elapsed - kept.state.at)
            self._write(kept.state, now)
        return kept.state

    def _write(self, state: State, now: Instant) -> None:
        state.at = now.monotonic
        whole = {"boot": now.boot, "wall": now.wall, **state.to_json()}
        line = json.dumps(whole, separators=(",", ":")).encode() + b"\n"
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            # Not cut to length, which would be a second step: what follows the line is not read.
            os.write(file, line)
        finally:
            os.close(file)


class _Kept(NamedTuple):
    """What lies in the file: a state, and when it was written."""

    state: State
    boot: str
    wall: int

    def is_of(self, now: Instant) -> bool:
        """Tell whether its times can be compared with these."""
        return self.boot == now.boot and self.state.at <= now.monotonic


def _parse(content: bytes) -> _Kept:
    line, end, _ = content.partition(b"\n")
    if not end:
        raise ValueError("no whole line")
    whole = json.loads(line)
    return _Kept(State.from_json(whole), str(whole["boot"]), int(whole["wall"]))
