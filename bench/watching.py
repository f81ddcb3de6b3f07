"""CPU time and peak memory of a process tree while a program runs.

CPU time includes processes that have ended: the kernel adds the times of a child that was waited for
to its parent's (proc(5), ``cutime`` and ``cstime``). Memory is sampled by a thread.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

SAMPLE_S = 0.2
"""Seconds between two samples of the peak of each process; a sample takes some milliseconds."""
PSS_SHARE = 1 / 40
"""Share of the time spent on reading the proportional set size, which takes 0.2 s for a whole stack."""


class Failed(Exception):  # noqa: N818 - the result of a contender
    """A contender did not produce what was asked for; the message says why."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources used by one run.

    Attributes:
        seconds: Wall time.
        cpu_s: CPU seconds, user and system, of all processes.
        largest_mb: Peak resident memory of the largest process, MiB.
        together_mb: Peak of all processes together, MiB; shared pages count once (PSS).
    """

    seconds: float
    cpu_s: float
    largest_mb: float
    together_mb: float


class Watch:
    """Measures a process and its descendants while a ``with`` block runs.

    Args:
        root: PID of the topmost process.
        excluded: PIDs to leave out, with their descendants.

    Attributes:
        peaks: (PID, command line) → peak resident memory of the process (VmHWM), MiB.
        together_mb: Peak of all processes together, MiB; shared pages count once (PSS).
        cpu_s: CPU seconds of the block, of processes that have ended too; set at its end.
    """

    def __init__(self, root: int, excluded: Collection[int] = ()) -> None:
        self.peaks: dict[tuple[int, str], float] = {}
        self.together_mb = 0.0
        self.cpu_s = 0.0
        self._root = root
        self._excluded = excluded
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        for process in self.processes():
            # Resets the peaks of long-lived processes (proc(5), clear_refs).
            with contextlib.suppress(OSError):
                Path(f"/proc/{process.pid}/clear_refs").write_text("5", "ascii")
        self._start_s = self.cpu_seconds()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s = self.cpu_seconds() - self._start_s
        self._end.set()
        self._thread.join()

    @property
    def largest_mb(self) -> float:
        """Peak resident memory of the largest process, MiB."""
        return max(self.peaks.values(), default=0.0)

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the tree, parents before their children."""
        try:
            root = psutil.Process(self._root)
            everything = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        skipped = set(self._excluded)
        kept = []
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.pid in skipped or process.ppid() in skipped:
                    skipped.add(process.pid)
                else:
                    kept.append(process)
        return kept

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all processes of the tree since each started."""
        for _ in range(20):
            before = self.processes()
            total = sum(map(_cpu_s, before))
            # A process that ended in between counts twice or not at all: repeat.
            if self.processes() == before:
                break
        return total

    def _sample(self) -> None:
        due = 0.0
        while not self._end.wait(SAMPLE_S):
            processes = self.processes()
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    key = process.pid, " ".join(process.cmdline())
                    peak = _mebibytes(f"/proc/{process.pid}/status", "VmHWM:")
                    self.peaks[key] = max(self.peaks.get(key, 0.0), peak)
            start = time.monotonic()
            if start >= due:
                together = sum(
                    _mebibytes(f"/proc/{each.pid}/smaps_rollup", "Pss:") for each in processes
                )
                self.together_mb = max(self.together_mb, together)
                due = start + (time.monotonic() - start) / PSS_SHARE


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _mebibytes(path: str, name: str) -> float:
    with contextlib.suppress(OSError):
        for line in Path(path).read_text("utf-8", "replace").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    return 0.0


def run_script(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, timeout: float
) -> Usage:
    """Run a program to its end and return its usage, interpreter start included.

    Args:
        command: Program and arguments.
        environment: Variables in addition to those of this process.
        log: Receives its output.
        timeout: Seconds after which it is killed.

    Raises:
        Failed: It exited with an error or exceeded the timeout.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        late = threading.Timer(timeout, _kill_session, [process.pid])
        late.start()
        try:
            with Watch(process.pid) as watch:
                process.wait()
                seconds = time.perf_counter() - start
        except BaseException:
            _kill_session(process.pid)
            raise
        finally:
            in_time = late.is_alive()
            late.cancel()
    if process.returncode:
        output_end = " | ".join(log.read_text("utf-8", "replace").strip().splitlines()[-8:])
        reason = f"exit code {process.returncode}" if in_time else f"timeout after {timeout:g} s"
        raise Failed(f"{reason}: {output_end}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(seconds, used, watch.largest_mb, watch.together_mb)


def _kill_session(session: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
