"""What a program costs: seconds, CPU seconds of all that it started, peak memory.

CPU counts processes that ended between two looks: the kernel adds the times of a child that was
waited for to its parent's (proc(5), ``cutime`` and ``cstime``), so own and children's times of all
that live hold everything. Memory is looked at by a thread while the program runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LOOK_S = 0.2
"""Seconds between two looks at each process's own peak; one takes some milliseconds."""
SHARED_LOOK_S = 2.0
"""Seconds between two looks at the memory of all together; one takes a tenth of a second."""


class Failed(Exception):  # noqa: N818 - what became of a contender, said in its cell
    """A contender did not do what was asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run cost.

    Attributes:
        seconds: From start to end.
        cpu_s: CPU seconds, user and system, of all processes.
        largest_mb: Peak resident memory of the largest process, MiB.
        together_mb: Peak of all processes together, MiB, with shared pages counted once (PSS).
        fetch_s: From the first request until the last was answered; None where not asked for.
    """

    seconds: float
    cpu_s: float
    largest_mb: float
    together_mb: float
    fetch_s: float | None = None


def percentile(values: list[float], share: float) -> float:
    """Return the smallest of the values that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


class Tree:
    """The processes below some roots, the roots included.

    Args:
        roots: Numbers of processes.
        without: Numbers of processes that are left out, with all below them.
    """

    def __init__(self, roots: Iterable[int], without: Iterable[int] = ()) -> None:
        self._roots = tuple(roots)
        self._without = frozenset(without)

    def pids(self) -> set[int]:
        """Return the processes that exist now, ended ones that nobody waited for included."""
        children: dict[int, list[int]] = {}
        for pid, parent in psutil._ppid_map().items():  # type: ignore[attr-defined] # noqa: SLF001 - one look at all
            children.setdefault(parent, []).append(pid)
        found: set[int] = set()
        waiting = list(self._roots)
        while waiting:
            pid = waiting.pop()
            if pid not in self._without and pid not in found:
                found.add(pid)
                waiting += children.get(pid, [])
        return found

    def cpu_s(self) -> float:
        """Return the CPU seconds of all processes that exist or existed."""
        for _ in range(20):
            before = self.pids()
            total = sum(map(_cpu_s, before))
            # A process that ended meanwhile may be counted twice, or not at all: look again.
            if self.pids() == before:
                break
        return total

    def largest_mb(self) -> float:
        """Return the peak resident memory of the largest process so far, MiB."""
        return max(map(_peak_mb, self.pids()), default=0.0)

    def together_mb(self) -> float:
        """Return the memory of all processes now, shared pages counted once, MiB."""
        return sum(map(_share_mb, self.pids()))

    def forget_peaks(self) -> None:
        """Let the peaks of processes that live long begin anew (proc(5), ``clear_refs``)."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


def _cpu_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    own: float = times.user + times.system
    return own + times.children_user + times.children_system


def _peak_mb(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _share_mb(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii", "replace").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


class Watch:
    """Looks at the memory of a tree while a ``with`` block runs.

    Attributes:
        largest_mb: Peak of the largest process, MiB.
        together_mb: Peak of all together, MiB.
    """

    def __init__(self, tree: Tree, shared_look_s: float = SHARED_LOOK_S) -> None:
        self.largest_mb = 0.0
        self.together_mb = 0.0
        self._tree = tree
        self._shared_look_s = shared_look_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._tree.forget_peaks()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        due = time.monotonic() + self._shared_look_s / 2
        while not self._end.wait(LOOK_S):
            self.largest_mb = max(self.largest_mb, self._tree.largest_mb())
            if time.monotonic() >= due:
                self.together_mb = max(self.together_mb, self._tree.together_mb())
                due = time.monotonic() + self._shared_look_s


def run_script(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, timeout: float
) -> Usage:
    """Run a script to its end and return what it cost, its interpreter's start included.

    Args:
        command: Program and arguments.
        environment: Variables on top of this process's.
        log: Gets what it says.
        timeout: Seconds after which it is killed.

    Raises:
        Failed: It ended with an error, or was not done in time.
    """
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    late = threading.Timer(timeout, _kill, [process.pid])
    late.start()
    try:
        # A script has few processes: its memory can be looked at often.
        with Watch(Tree([process.pid]), shared_look_s=LOOK_S) as watch:
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
    except BaseException:
        _kill(process.pid)
        raise
    finally:
        in_time = late.is_alive()
        late.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not in_time:
        said = log.read_text("utf-8", "replace").strip().splitlines()[-8:]
        ended = f"exit code {process.returncode}" if in_time else f"not done after {timeout:g} s"
        raise Failed(f"{ended}: " + " | ".join(said))
    return Usage(
        seconds,
        used.ru_utime + used.ru_stime,
        # The thread may have missed a script that was over at once; the kernel has not.
        watch.largest_mb or used.ru_maxrss / 1024,
        watch.together_mb,
    )


def _kill(session: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
