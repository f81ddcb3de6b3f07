"""Fork the components of a stack, and find and stop all processes of a stack (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.process import BaseProcess
    from pathlib import Path

STACK = "FANFOLD_STACK"
"""Environment variable with the folder of the stack that a process belongs to."""
STALLED_S = 180
"""Seconds without progress after which a process that starts is taken for stuck."""
MAX_CPU_S = 120
"""CPU seconds after which it is: each needs about five, most of them for imports of Airflow."""
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent of this process ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def fork(name: str, program: Callable[[], None], log: Path) -> BaseProcess:
    """Run a function in a forked process, which shares what this process has imported.

    The process has a session of its own, writes stdout and stderr to ``log``, and ends with this
    process.
    """
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(program, str(log)), name=name
    )
    process.start()
    return process


def _run(program: Callable[[], None], log: str) -> None:
    parent = multiprocessing.parent_process()
    end_with_parent()
    if parent is None or os.getppid() != parent.pid:
        return  # it ended before
    os.setsid()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for path, flags, descriptors in (
        (os.devnull, os.O_RDONLY, (0,)),
        (log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, (1, 2)),
    ):
        opened = os.open(path, flags, 0o644)
        for descriptor in descriptors:
            os.dup2(opened, descriptor)
        os.close(opened)
    program()


def execute(arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this forked process by a Python interpreter with an environment of its own.

    The environment of this process would stay readable in ``/proc``, and its secrets in the memory.
    """
    for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 - numbers
        # The parent sees by the end of a pipe that a process has ended: it must not end here.
        with contextlib.suppress(OSError):  # that of this listing
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - by position only
    os.execve(sys.executable, [sys.executable, *arguments], environment)  # noqa: S606 - no shell


class Limit:
    """Limits the start of a process by the CPU time that it uses, which a busy machine does not prolong."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._used_s = 0.0
        self._progress_at = time.monotonic()

    def exceeded(self) -> str:
        """Return why it is not worth waiting any longer, or an empty string."""
        now = time.monotonic()
        if now - self._progress_at < STALLED_S:
            return ""
        used_s = _cpu_s(self._pid)
        if used_s > MAX_CPU_S:
            return f"its process has used {used_s:.0f} s of CPU time"
        if used_s - self._used_s < 1:
            return (
                f"its process has used less than 1 s of CPU time in {now - self._progress_at:.0f} s"
            )
        self._used_s, self._progress_at = used_s, now
        return ""


def _cpu_s(pid: int | None) -> float:
    """Return the CPU time of a process and its children in seconds; 0 if there is none."""
    try:
        process = psutil.Process(pid)
        running = [process, *process.children(recursive=True)]
        return sum(
            sum(each.cpu_times()[:4]) for each in running
        )  # user, system; theirs of children
    except psutil.NoSuchProcess:
        return 0.0


def of_stack(folder: Path) -> set[psutil.Process]:
    """Return all living processes of the stack in a folder, other than this one.

    A process is recognised by its environment, also after its parent or the supervisor was killed.
    """
    found = set()
    for process in psutil.process_iter():
        try:
            belongs = process.environ().get(STACK) == str(folder)
            if belongs and process.pid != os.getpid() and _runs(process):
                found.add(process)
        except psutil.Error:
            continue
    return found


def stop(find: Callable[[], set[psutil.Process]], *, grace_s: float) -> None:
    """Stop the processes that ``find`` returns, and those that they start meanwhile.

    Each gets a SIGTERM, and a SIGKILL ``grace_s`` seconds after the first one.
    """
    terminated: set[psutil.Process] = set()
    deadline = time.monotonic() + grace_s
    while running := {each for each in terminated | find() if _runs(each)}:
        for process in running:
            try:
                if time.monotonic() > deadline:
                    process.kill()
                elif process not in terminated:
                    process.terminate()
            except psutil.NoSuchProcess:
                continue
        terminated |= running
        time.sleep(0.05)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log; reads at most 64 KiB of it."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65_536))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []
