"""Shared state in a small file, for the processes of one machine.

The file is one line of JSON of less than 4 KB, guarded by a kernel file lock that ends with the
process that holds it. It is overwritten in place: a write of less than a page is atomic with respect
to SIGKILL. It is not synced: after a crash of the machine, a broken file costs one window.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from filelock import FileLock, Timeout
from pyrate_limiter import StateStore

from fanfold.errors import RateLimitUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrate_limiter import Decision, Rate, StateAlgorithm
    from pyrate_limiter.abstracts.algorithm import State

_log = logging.getLogger(__name__)
_LOCK_TIMEOUT: Final = 5.0
"""Seconds. The lock is held for less than a millisecond unless its holder is suspended."""
_LOCK_POLL: Final = 0.001
_REASON: Final = 300
"""Characters kept of the reason for a pause, so that the file stays within a page."""


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass
class _Record:
    """Content of the file; times are milliseconds.

    Attributes:
        state: The algorithm's state; empty if it was lost.
        boot: Boot that the monotonic clock belongs to.
        at: Time of the last access.
        ahead: Added to the clock, so that time never goes backwards, not even by a reboot.
        paused_until: End of the pause.
        reason: Reason for the pause.
    """

    state: State
    boot: str = ""
    at: int = 0
    ahead: int = 0
    paused_until: int = 0
    reason: str = ""

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Return the record in the first line of the file.

        Raises:
            ValueError, TypeError, KeyError: The line is something else.
        """
        raw = json.loads(content.partition(b"\n")[0])
        return cls(
            tuple(map(int, raw["state"])),
            str(raw["boot"]),
            int(raw["at"]),
            int(raw["ahead"]),
            int(raw["paused_until"]),
            str(raw["reason"]),
        )


class FileStore(StateStore):
    """A rate-limit state in a file.

    Args:
        path: The file; its folder is created on first use.
        now: Monotonic seconds, the same for all processes of the machine.
    """

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.path = path
        self.to_resume = f"delete the file {path}"
        self._now = now
        # A lock that consists of a file's existence would outlive a killed process: no fallback.
        self._lock = FileLock(
            path.with_name(f"{path.name}.lock"),
            timeout=_LOCK_TIMEOUT,
            poll_interval=_LOCK_POLL,
            fallback_to_soft=False,
        )

    def check(
        self,
        algorithm: StateAlgorithm,
        rates: list[Rate],
        now: int,  # noqa: ARG002 - the time that counts is read under the lock
        weight: int,
    ) -> Decision:
        """Take ``weight`` permits, or return how long to wait."""
        with self._record(algorithm.initial(rates)) as record:
            record.state, decision = algorithm.step(rates, record.state, record.at, weight)
        return decision

    def read(self, algorithm: StateAlgorithm, rates: list[Rate]) -> State:
        """Return the current state."""
        with self._record(algorithm.initial(rates)) as record:
            return record.state

    def reset(self) -> None:
        """Delete the state."""
        self.path.unlink(missing_ok=True)

    def pause(self, seconds: float, reason: str) -> None:
        """Pause all processes; a longer pause that is already in effect is kept."""
        with self._record() as record:
            until = record.at + int(seconds * 1000)
            if until > record.paused_until:
                record.paused_until, record.reason = until, reason[:_REASON]

    def paused(self) -> tuple[float, str]:
        """Return the remaining seconds of the pause, and its reason."""
        try:
            self.path.stat()
        except FileNotFoundError:
            return 0.0, ""
        except OSError as error:
            raise self._unavailable(error) from error
        with self._record() as record:
            return (record.paused_until - record.at) / 1000, record.reason

    @contextmanager
    def _record(self, initial: State = (0, 0)) -> Iterator[_Record]:
        """Lock and read the file; write it afterwards."""
        try:
            with self._lock:
                record = self._load(initial)
                yield record
                line = json.dumps(vars(record), ensure_ascii=False, separators=(",", ":"))
                file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
                try:
                    # Not truncated, which would be a second step: only the first line is read.
                    os.write(file, line.encode() + b"\n")
                finally:
                    os.close(file)
        except Timeout as error:
            raise RateLimitUnavailable(
                f"The rate-limit file {self.path} has been locked for {_LOCK_TIMEOUT:g} s. "
                "A process that fetches is suspended: resume or kill it"
            ) from error
        except OSError as error:
            raise self._unavailable(error) from error

    def _load(self, initial: State) -> _Record:
        try:
            record = _Record.parse(self.path.read_bytes())
        except FileNotFoundError:
            record = _Record(initial)
        except (ValueError, TypeError, KeyError):
            _log.warning(
                "The rate-limit file %s is unreadable and was reset; the requests of the last hour "
                "are no longer counted.",
                self.path,
            )
            record = _Record(())
        now = int(self._now() * 1000)
        if record.at and (record.boot != _boot_id() or now + record.ahead < record.at):
            # Rebooted, or the clock was set back: assume that no time has passed.
            record.ahead = record.at - now
        record.boot, record.at = _boot_id(), now + record.ahead
        return record

    def _unavailable(self, error: OSError) -> RateLimitUnavailable:
        return RateLimitUnavailable(
            f"The rate-limit file {self.path} cannot be read or written: {error.strerror}. "
            "Its folder must be a directory that every worker can write to"
        )
