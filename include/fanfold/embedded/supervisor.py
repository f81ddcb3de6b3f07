"""The process that starts, watches and stops all others of a stack.

It is the same for ``make run``, ``make up`` and tests; only its owner differs: the program that the
stack ends with, if there is one. All that the stack consists of descends from this process, also
when something in between dies, so stopping means: stop every descendant.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.embedded import metadata, objects, settings
from fanfold.embedded.forkserver import READY, Program, Request
from fanfold.embedded.home import Home
from fanfold.embedded.processes import (
    GRACE_S,
    adopt_orphans,
    descendants,
    of_sessions,
    reap,
    spawn,
    stop,
)
from fanfold.embedded.state import Identity, Phase, StackFailed, State, read

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence

START_S = 180
"""Seconds that a stack may take to start; the slowest part is Airflow's import."""
TASK_GRACE_S = 2.0
"""Seconds from SIGTERM to SIGKILL for tasks: Airflow's task process notes the first and goes on."""
LOCKED = 3
"""Exit code: another supervisor has this folder."""
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
        python = sys.executable
        token = str(home.source_token)
        self._spawn("forkserver", *self._forkserver())
        self._spawn("s3", python, "-m", "moto.server", "-H", settings.LOOPBACK, "-p", str(ports.s3))
        self._spawn(
            "simulator", python, "-m", "fanfold.simulator",
            "--host", settings.LOOPBACK, "--port", str(ports.simulator), "--token-file", token,
        )  # fmt: skip
        self._wait((home.root / READY).exists, "Airflow's import")
        if metadata.needs_migration(home.database):
            self._say(Phase.STARTING, "creating Airflow's database (only the first time)")
            self._migrate()
        metadata.give_up_cut_runs(home.database)
        self._say(Phase.STARTING, "starting Airflow")
        for name, arguments in COMPONENTS.items():
            self._airflow(name, *arguments)
        self._say(Phase.STARTING, "starting Airflow")
        self._wait(lambda: _listens(ports.s3), "the S3 server")
        s3 = self._s3()
        objects.restore(s3, home.objects)
        self._wait(lambda: _listens(ports.simulator), "the simulator")
        self._wait(lambda: _healthy(ports.airflow), "Airflow's health")

    def _migrate(self) -> None:
        log = self._home.log_of("migrate")
        request = Request(["airflow", "db", "migrate"], str(log), [])
        with Program(self._home.root, request) as migration:
            self._wait(lambda: migration.poll() is not None, "airflow db migrate")
            if code := migration.poll():
                raise StackFailed(self._explain("migrate", code))
        metadata.migrated(self._home.database)

    def _forkserver(self) -> Iterator[str]:
        (self._home.root / READY).unlink(missing_ok=True)
        yield from (sys.executable, "-m", "fanfold.embedded.forkserver", str(self._home.root))
        yield from ("airflow.__main__:main", *_PRELOAD)

    def _spawn(self, name: str, *command: str) -> None:
        log = self._home.log_of(name)
        log.unlink(missing_ok=True)
        self._children[name] = spawn(command, log=log, environment=self._environment)
        self._note(name)

    def _airflow(self, name: str, *arguments: str) -> None:
        log = self._home.log_of(name)
        log.unlink(missing_ok=True)
        # Only the scheduler's tasks fork from it; see config/airflow_local_settings.py.
        again = ["airflow_local_settings"] if name == "scheduler" else []
        request = Request(["airflow", *arguments], str(log), again)
        self._children[name] = Program(self._home.root, request)
        self._note(name)

    def _note(self, name: str) -> None:
        identity = Identity.of(self._children[name].pid)
        self._state = replace(self._state, processes={**self._state.processes, name: identity})
        self._state.write(self._home.state)

    def _say(self, phase: Phase, step: str) -> None:
        self._state = replace(self._state, phase=phase, step=step)
        self._state.write(self._home.state)

    def _s3(self) -> object:
        secrets = self._secrets
        return objects.client(self._state.s3, secrets.s3_access_key, secrets.s3_secret_key)

    # watching

    def _check(self) -> None:
        """Raise when the stack is to stop or cannot go on."""
        if self._stopping:
            raise _Stopped
        waits_for_owner = not self._leaves or self._state.phase is Phase.STARTING
        if waits_for_owner and self._owner is not None and not self._owner.lives:
            raise _Stopped
        for name, child in self._children.items():
            if (code := child.poll()) is not None:
                raise StackFailed(self._explain(name, code))

    def _explain(self, name: str, code: int) -> str:
        lines = last_lines(self._home.log_of(name), 15)
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{name} {ended}; the end of {self._home.log_of(name)}:\n" + "\n".join(lines)

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
        # Tasks first, while they can still say what became of them; the S3 server last.
        self._stop_but("forkserver", "api-server", "simulator", "s3", grace_s=TASK_GRACE_S)
        self._stop_but("s3")
        if "s3" in self._children and _listens(self._ports.s3):
            try:
                objects.keep(self._s3(), self._home.objects)
            except Exception as error:  # noqa: BLE001 - stopping goes on whatever happens
                sys.stderr.write(f"The bucket's objects were not kept: {error}\n")
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


def _taken(pid: int) -> bool:
    return Identity.of(pid).birth != "gone"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((settings.LOOPBACK, port)) == 0


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy


def _healthy(port: int) -> bool:
    """Whether api-server, scheduler, dag-processor and triggerer all say that they are well."""
    import json

    try:
        # Airflow builds the API that tasks talk to (seconds) when it is first asked for it: now.
        _DIRECT.open(f"{settings.url(port)}/execution/health", timeout=30).close()
        with _DIRECT.open(f"{settings.url(port)}/api/v2/monitor/health", timeout=5) as answer:
            parts = json.load(answer)
    except (OSError, ValueError):
        return False
    return all(
        (parts.get(name) or {}).get("status") == "healthy"
        for name in ("metadatabase", "scheduler", "dag_processor", "triggerer")
    )


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log, of which no more than 64 KiB are read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65_536))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a supervisor until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m fanfold.embedded.supervisor")
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
