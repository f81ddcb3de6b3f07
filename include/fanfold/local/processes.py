"""Start programs, and stop them with everything that they started."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_STARTED: list[subprocess.Popen[bytes]] = []  # whose exit is asked for through their own object
_LINUX = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
GRACE_S = 8.0
"""Seconds from SIGTERM to SIGKILL."""


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Make this process the parent of all descendants whose own parent ends (Linux).

    Without it they would go to init, and nobody would know that they are ours.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask the kernel for a signal when the process that started this one ends (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, number)


def birth(pid: int) -> str | None:
    """Return what tells this process from a later one with the same number, or None if it is gone.

    On Linux: the boot, and the clock tick at which the process began; both stay the same when
    somebody sets the clock. A zombie counts as gone.
    """
    if _LINUX:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        after_name = stat.rpartition(")")[2].split()
        if after_name[0] in {"Z", "X"}:
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{after_name[19]}"
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def _before_exec() -> None:
    # Between fork and exec of a process with one thread.
    end_with_parent()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def spawn(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str], tied: bool = True
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; what it says is added to ``log``.

    Args:
        command: The program and its arguments.
        log: Created where it is missing.
        environment: All of its environment.
        tied: Whether it is asked to end when this process ends in whatever way.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=_before_exec if tied else None,  # noqa: PLW1509 - no threads here
        )
    _STARTED.append(started)
    return started


def descendants(roots: Iterable[int]) -> list[psutil.Process]:
    """Return the processes with these numbers that live, and all that they started."""
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    return list(found.values())


def of_sessions(leaders: Iterable[int]) -> list[psutil.Process]:
    """Return the living processes of the sessions that these processes began.

    A process keeps its session when its parent dies, so this finds what a killed supervisor left.
    """
    wanted = set(leaders)
    found = []
    for process in psutil.process_iter():
        try:
            session = os.getsid(process.pid)
            if session in wanted and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return found


def stop(find: Callable[[], list[psutil.Process]], *, grace_s: float = GRACE_S) -> bool:
    """Stop the processes that ``find`` returns until it returns none; True if all went by asking.

    Each is asked once (SIGTERM), then killed after ``grace_s`` seconds; what appears meanwhile is
    treated the same way.
    """
    asked: set[int] = set()
    deadline = time.monotonic() + grace_s
    gently = True
    while left := find():
        late = time.monotonic() > deadline
        for process in left:
            try:
                if late:
                    if gently:
                        sys.stderr.write(f"Killing {' '.join(process.cmdline())[:200]}\n")
                    gently = False
                    process.kill()
                elif process.pid not in asked:
                    asked.add(process.pid)
                    process.terminate()
            except psutil.NoSuchProcess:
                continue
        reap()
        time.sleep(0.02)
    return gently


def reap() -> None:
    """Take note of adopted children that ended, so that they do not stay as zombies.

    Children of :class:`subprocess.Popen` are left to their object.
    """
    if not _LINUX:
        return
    for started in _STARTED:
        started.poll()
    known = {started.pid for started in _STARTED}
    for child in psutil.Process().children():
        try:
            if child.pid not in known and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
        except (psutil.NoSuchProcess, ChildProcessError):
            continue
