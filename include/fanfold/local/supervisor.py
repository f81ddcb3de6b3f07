"""The process that starts, watches and stops all others of a stack.

It is the same for ``make run``, ``make up`` and tests; only its owner differs: the program that the
stack ends with, if there is one. All that the stack consists of descends from this process, also
when something in between dies, so stopping means: stop every descendant.

A component that dies while the stack starts fails the start, with the end of its log. One that dies
later begins again on the same port with the same settings, after what it left is ended; a stack
whose component keeps dying is given up (:mod:`.restarts`).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import sqlite3
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.local import metadata, settings
from fanfold.local.forkserver import READY, Program, Request
from fanfold.local.home import Home
from fanfold.local.probes import healthy, last_lines, listens
from fanfold.local.processes import (
    GRACE_S,
    adopt_orphans,
    descendants,
    of_sessions,
    reap,
    spawn,
    stop,
)
from fanfold.local.restarts import MOST_DEATHS, WINDOW_S, Restarts
from fanfold.local.state import Identity, Phase, StackFailed, State, read

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    import psutil

START_S = 180
"""Seconds that a stack may take to start; the slowest part is Airflow's import."""
TASK_GRACE_S = 2.0
"""Seconds from SIGTERM to SIGKILL for tasks: Airflow's task process notes the first and goes on."""
LOCKED = 3
"""Exit code: another supervisor has this folder."""
FORKSERVER = "forkserver"
SERVERS = (FORKSERVER, "s3", "simulator")
"""What is not Airflow, or not yet."""
COMPONENTS = {
    # --skip-serve-logs: its log server would listen on every interface; we read logs from the disk.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    "api-server": ("api-server",),
}
# What at least two of the components import, in the order of their need.
_PRELOAD = (
    "airflow.__main__",
    "airflow.models.dagrun",
    "airflow.serialization.serialized_objects",
    "airflow.api_fastapi.app",
    "airflow.jobs.scheduler_job_runner",
    "airflow.dag_processing.manager",
)


class _Stopped(Exception):  # noqa: N818 - a request, no error
    """Somebody asked this process to stop, or its owner is gone."""


class Supervisor:
    """Starts and watches the processes of one folder."""

    def __init__(self, home: Home, *, owner: Identity | None, leaves: bool, dags: Path) -> None:
        self._home = home
        self._owner = owner
        self._leaves = leaves
        self._dags = dags
        self._state = State(Identity.mine(), None if leaves else owner, started_at=time.time())
        self._secrets = home.prepare()
        self._ports = settings.free_ports()
        self._children: dict[str, subprocess.Popen[bytes] | Program] = {}
        self._restarts = Restarts()
        self._stopping = False
        self._environment = settings.outer_environment() | settings.airflow_environment(
            home,
            self._secrets,
            self._ports,
            dags=dags,
            scheduled=leaves,
        )
        self._environment |= _overrides()

    def ask_to_stop(self, *_: object) -> None:
        """Note that the stack is to stop; a signal handler."""
        self._stopping = True

    def run(self) -> int:
        """Start everything, watch it, and stop it when asked; return the exit code."""
        failure = ""
        try:
            self._sweep()
            self._start()
            self._say(Phase.READY, "running")
            while True:
                self._check()
                reap()
                time.sleep(0.25)
        except _Stopped:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, stop all and say why
            failure = (
                f"{error}" if isinstance(error, StackFailed) else f"{type(error).__name__}: {error}"
            )
        self._stop()
        if failure:
            self._state = replace(self._state, message=failure)
            self._say(Phase.FAILED, "stopped")
            return 1
        self._home.state.unlink(missing_ok=True)
        return 0

    # starting

    def _sweep(self) -> None:
        """Stop what a supervisor that was killed left in this folder."""
        old = read(self._home.state)
        if old is not None and old.processes:
            # A session whose leader's number was given to another process is not ours.
            sessions = [
                each.pid for each in old.processes.values() if each.lives or not _taken(each.pid)
            ]
            stop(lambda: of_sessions(sessions))

    def _start(self) -> None:
        ports, home = self._ports, self._home
        self._state = replace(
            self._state,
            airflow=settings.url(ports.airflow),
            simulator=settings.url(ports.simulator),
            s3=settings.url(ports.s3),
        )
        self._say(Phase.STARTING, "starting")
        for name in (*SERVERS, *COMPONENTS):
            home.log_of(name).unlink(missing_ok=True)
        for name in SERVERS:
            self._begin(name)
        self._wait((home.root / READY).exists, "Airflow's import")
        if metadata.needs_migration(home.database):
            self._say(Phase.STARTING, "creating Airflow's database (only the first time)")
            self._migrate()
        metadata.give_up_cut_runs(home.database)
        self._say(Phase.STARTING, "starting Airflow")
        for name in COMPONENTS:
            self._begin(name)
        self._wait(lambda: listens(ports.s3), "the S3 server")
        self._wait(lambda: listens(ports.simulator), "the simulator")
        self._wait(lambda: healthy(ports.airflow), "Airflow's health")

    def _migrate(self) -> None:
        log = self._home.log_of("migrate")
        request = Request(["airflow", "db", "migrate"], str(log), [])
        with Program(self._home.root, request) as migration:
            self._wait(lambda: migration.poll() is not None, "airflow db migrate")
            if code := migration.poll():
                raise StackFailed(self._explain("migrate", code))
        metadata.migrated(self._home.database)

    def _begin(self, name: str) -> None:
        """Start a component; nothing of an earlier one may run."""
        if name in COMPONENTS:
            metadata.forget_job(self._home.database, name)
            # Only the scheduler's tasks fork from it; see config/airflow_local_settings.py.
            again = ["airflow_local_settings"] if name == "scheduler" else []
            command = ["airflow", *COMPONENTS[name]]
            log = str(self._home.log_of(name))
            self._children[name] = Program(self._home.root, Request(command, log, again))
        else:
            if name == FORKSERVER:
                (self._home.root / READY).unlink(missing_ok=True)
            command = [sys.executable, "-m", *self._command(name)]
            log_file = self._home.log_of(name)
            self._children[name] = spawn(command, log=log_file, environment=self._environment)
        self._note(name)

    def _command(self, name: str) -> list[str]:
        home, ports = self._home, self._ports
        match name:
            case "s3":
                return [
                    *("fanfold.local.s3", "--port", str(ports.s3)),
                    *("--folder", str(home.objects), "--bucket", settings.BUCKET),
                ]
            case "simulator":
                return [
                    *("fanfold.simulator", "--host", settings.LOOPBACK),
                    *("--port", str(ports.simulator), "--token-file", str(home.source_token)),
                ]
            case _:
                return [
                    *("fanfold.local.forkserver", str(home.root)),
                    *("airflow.__main__:main", *_PRELOAD),
                ]

    def _note(self, name: str) -> None:
        identity = Identity.of(self._children[name].pid)
        self._state = replace(self._state, processes={**self._state.processes, name: identity})
        self._state.write(self._home.state)

    def _say(self, phase: Phase, step: str) -> None:
        self._state = replace(self._state, phase=phase, step=step)
        self._state.write(self._home.state)

    # watching

    def _check(self) -> None:
        """Raise when the stack is to stop or cannot go on."""
        if self._stopping:
            raise _Stopped
        waits_for_owner = not self._leaves or self._state.phase is Phase.STARTING
        if waits_for_owner and self._owner is not None and not self._owner.lives:
            raise _Stopped
        # First the one from which others are forked: they end with it.
        for name in sorted(self._children, key=lambda name: name != FORKSERVER):
            child = self._children.get(name)
            if child is not None and (code := child.poll()) is not None:
                self._died(name, code)
        for name in self._restarts.due(time.monotonic()):
            if name not in COMPONENTS or self._forks():
                self._begin_again(name)

    def _forks(self) -> bool:
        return FORKSERVER in self._children and (self._home.root / READY).exists()

    def _begin_again(self, name: str) -> None:
        try:
            self._begin(name)
        except (StackFailed, sqlite3.OperationalError) as error:
            # The fork server died just now, or Airflow's database is locked: it stays due.
            self._log(f"{name} cannot begin yet: {error}")
            return
        self._restarts.began(name)
        self._state = replace(self._state, restarts=dict(self._restarts.counts))
        self._state.write(self._home.state)
        self._log(f"{name} runs again (process {self._children[name].pid})")

    def _died(self, name: str, code: int) -> None:
        """End what a component left, and note when it begins again.

        A scheduler leaves its executor's workers and their tasks. They are ended, not left to
        finish: the next scheduler hands out the same tasks again as soon as it runs.

        Raises:
            StackFailed: It died while the stack starts, or too often.
        """
        explanation = self._explain(name, code)
        if self._state.phase is Phase.STARTING:
            raise StackFailed(explanation)
        now = time.monotonic()
        forked = [each for each in COMPONENTS if each in self._children]
        gone = [name, *(forked if name == FORKSERVER else ())]
        ended = sum(self._end(each) for each in gone)
        wait = self._restarts.died(name, now)
        if wait is None:
            raise StackFailed(
                f"{name} died {MOST_DEATHS} times within {WINDOW_S / 60:g} minutes, so the stack "
                f"is given up. {explanation}"
            )
        for each in gone[1:]:
            self._restarts.begin_with(each, now)
        left = f", {ended} processes that it left were ended" if ended else ""
        self._log(f"{name} {_ended(code)}; it begins again in {wait:g} s{left}")

    def _end(self, name: str) -> int:
        """Kill what is left of a component; return how many processes that were."""
        child = self._children.pop(name)
        if isinstance(child, Program):
            child.close()
        left: set[int] = set()

        def find() -> list[psutil.Process]:
            ours = {each.pid for each in descendants([os.getpid()])}
            found = [each for each in of_sessions([child.pid]) if each.pid in ours]
            left.update(each.pid for each in found)
            return found

        stop(find, grace_s=0)
        return len(left)

    def _log(self, text: str) -> None:
        """Add a line with the time to the supervisor's log."""
        sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")

    def _explain(self, name: str, code: int) -> str:
        lines = last_lines(self._home.log_of(name), 15)
        log = self._home.log_of(name)
        return f"{name} {_ended(code)}; the end of {log}:\n" + "\n".join(lines)

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_S
        while not done():
            self._check()
            if time.monotonic() > deadline:
                raise StackFailed(f"{what} is not there after {START_S} s; see {self._home.logs}.")
            time.sleep(0.05)

    # stopping

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            self._say(Phase.STOPPING, "stopping")
        # Tasks first, while they can still say what became of them.
        self._stop_but("forkserver", "api-server", "simulator", "s3", grace_s=TASK_GRACE_S)
        self._stop_but()

    def _stop_but(self, *names: str, grace_s: float = GRACE_S) -> None:
        spared = {self._children[name].pid for name in names if name in self._children}
        stop(
            lambda: [each for each in descendants([os.getpid()]) if each.pid not in spared],
            grace_s=grace_s,
        )


def _overrides() -> dict[str, str]:
    """What the program that asked for this stack wants to be different, from its own variables."""
    prefix = "FANFOLD_STACK_ENV__"
    return {
        name.removeprefix(prefix): value
        for name, value in os.environ.items()
        if name.startswith(prefix)
    }


def _ended(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _taken(pid: int) -> bool:
    return Identity.of(pid).birth != "gone"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a supervisor until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m fanfold.local.supervisor")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--dags", type=Path, required=True)
    parser.add_argument("--owner", type=int, required=True)
    parser.add_argument("--leaves", action="store_true", help="outlive the owner once it is ready")
    given = parser.parse_args(arguments)
    home = Home(given.home)
    home.prepare()
    with home.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return LOCKED
        adopt_orphans()
        supervisor = Supervisor(
            home, owner=Identity.of(given.owner), leaves=given.leaves, dags=given.dags
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, supervisor.ask_to_stop)
        return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
