"""The process that starts the components of a stack, watches them and stops them all.

It is the same for ``make run``, ``make up`` and tests. It imports Airflow once and forks Airflow's
components from itself. When one component exits, it stops the others and fails with the end of
that component's log; nothing is restarted. It also stops when the program at the other end of its
stdin ends; after ``make up``, only until the stack is ready.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import runpy
import shutil
import signal
import sys
import time
import urllib.request
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from fanfold.errors import FanfoldError
from fanfold.local import settings
from fanfold.local.home import Home
from fanfold.local.processes import STACK, Limit, execute, fork, last_lines, of_stack, stop
from fanfold.local.state import Phase, StackFailed, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.process import BaseProcess

AIRFLOW_GRACE_S = 0.3
"""Seconds from SIGTERM to SIGKILL for Airflow: workers would wait for their tasks."""
SERVERS_GRACE_S = 10.0
"""The same for the S3 server, which saves its buckets, and the simulator."""
TRIGGERER_DELAY_S = 10.0
"""Seconds from a ready stack to the start of the triggerer: it takes CPU from the first run, which
needs it only if a task waits for a quota."""
GC_THRESHOLDS = (50_000, 50, 100)
"""For this process and, inherited, all components: with Python's defaults, a fifth of the CPU time
of their start is garbage collection that finds nothing."""
MIN_FREE = 4 << 20
"""Bytes of free disk space below which a component that ends has ended for lack of it."""
LOCKED = 3
"""Exit code: another supervisor runs in this folder."""
_PRELOAD = (
    "airflow.__main__",
    "airflow.models.dagrun",
    "airflow.serialization.serialized_objects",
    "airflow.api_fastapi.app",
    "airflow.jobs.scheduler_job_runner",
    "airflow.dag_processing.manager",
    "fanfold.airflow.installation",
)
"""What at least two of Airflow's components import."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy


class _Stopped(Exception):  # noqa: N818 - a request, not an error
    """A signal or the end of the owner asks this process to stop."""


class Supervisor:
    """Starts, watches and stops the processes of one folder."""

    def __init__(self, home: Home, state: State, ports: settings.Ports) -> None:
        self._home = home
        self._state = state
        self._ports = ports
        self._secrets = home.secrets()
        self._components: dict[str, BaseProcess] = {}

    def run(self) -> int:
        """Start the components, watch them, and stop them when asked; return the exit code."""
        try:
            self._start()
            self._check(timeout=TRIGGERER_DELAY_S)
            self._begin("triggerer", "airflow", "triggerer", "--skip-serve-logs")
            while True:
                self._check(timeout=60)
        except _Stopped:
            self._stop("")
            self._home.state.unlink(missing_ok=True)
            return 0
        except Exception as error:  # noqa: BLE001 - whatever it is, stop everything and report it
            self._stop(str(error) if isinstance(error, FanfoldError) else repr(error))
            self._write(phase=Phase.FAILED)
            return 1

    def _start(self) -> None:
        """Start all components; Airflow's task API and REST API in parallel, on a server each.

        Each takes four seconds of CPU to build, and a single api-server builds them in sequence.
        """
        home, ports = self._home, self._ports
        self._write()
        # A supervisor that was killed may have left processes.
        stop(lambda: of_stack(home.root), grace_s=AIRFLOW_GRACE_S)
        bucket = os.environ["FANFOLD_BUCKET"]
        s3_options = ("--port", ports.s3, "--folder", home.objects, "--bucket", bucket)
        own = settings.s3_environment(os.environ, self._secrets)
        self._begin("s3", "fanfold.local.s3", *s3_options, environment=own)
        hours = ("--hours", home.hours.read_text("ascii")) if home.hours.exists() else ()
        functions = os.environ.get("FUNCTIONS")
        folder = ("--functions", Path(functions).absolute()) if functions else ()
        token = ("--token-file", home.source_token)
        simulator_options = ("--port", ports.simulator, *token, *hours, *folder)
        own = settings.clean_environment(os.environ)
        self._begin("simulator", "fanfold.simulator", *simulator_options, environment=own)
        gc.set_threshold(*GC_THRESHOLDS)
        for name in _PRELOAD:
            importlib.import_module(name)
        gc.freeze()  # a collection in a child would copy the memory that all share
        self._migrate()
        self._fork("connections", self._write_connections)
        connections = self._components.pop("connections")
        execution = ("--apps", "execution", "--port", ports.execution)
        self._begin("execution-api", "airflow", "api-server", *execution)
        self._begin("api-server", "airflow", "api-server", "--apps", "core")
        # --skip-serve-logs: a log server would listen on all interfaces; logs are read from disk.
        self._begin("scheduler", "airflow", "scheduler", "--skip-serve-logs")
        self._begin("dag-processor", "airflow", "dag-processor")
        # The first request makes the server build the API for tasks.
        health = partial(_answers, ports.execution, "/execution/health")
        self._wait(health, "Airflow's task API", self._components["execution-api"])
        version_ = partial(_answers, ports.airflow, "/api/v2/version")
        self._wait(version_, "Airflow's REST API", self._components["api-server"])
        self._end(connections, "the sample connections in Airflow's database")
        self._write(phase=Phase.READY)

    def _migrate(self) -> None:
        """Migrate Airflow's database if it was not migrated by the installed version."""
        stamp = self._home.database.with_suffix(".version")
        known = stamp.read_text("utf-8") if stamp.exists() else ""
        if self._home.database.exists() and known == version("apache-airflow"):
            return
        self._begin("migration", "airflow", "db", "migrate")
        self._end(self._components.pop("migration"), "`airflow db migrate`")
        stamp.write_text(version("apache-airflow"), "utf-8")

    def _write_connections(self) -> None:
        """Write the connections to this stack's servers that the user has not set, and the pools."""
        wanted = settings.connections(self._home, self._secrets, self._ports)
        installation = importlib.import_module("fanfold.airflow.installation")
        installation.ensure_connections(
            {
                name: fields
                for name, fields in wanted.items()
                if settings.connection_variable(name) not in os.environ
            }
        )
        installation.ensure_pools()

    def _begin(
        self,
        name: str,
        module: str,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run a module in a forked process; with an environment of its own, in a new interpreter."""

        def program() -> None:
            if environment is not None:
                own = {**environment, STACK: str(self._home.root)}
                execute(["-m", module, *map(str, arguments)], own)
            sys.argv = [module, *map(str, arguments)]
            if name == "scheduler":
                # It looks at sys.argv, and imports what tasks need if they are forked from here.
                importlib.reload(importlib.import_module("airflow_local_settings"))
            runpy.run_module(module, run_name="__main__")

        self._fork(name, program)

    def _fork(self, name: str, program: Callable[[], None]) -> None:
        self._components[name] = fork(name, program, self._home.log_of(name))
        self._write(processes={name: each.pid for name, each in self._components.items()})

    def _write(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        self._state.write(self._home.state)

    def _check(self, *, timeout: float) -> None:
        """Wait for an event for at most ``timeout`` seconds; raise if the stack must stop."""
        owned = self._state.owner is not None or self._state.phase is Phase.STARTING
        sentinels = [process.sentinel for process in self._components.values()]
        events = wait([*sentinels, *([sys.stdin.fileno()] if owned else [])], timeout)
        if owned and sys.stdin.fileno() in events:
            raise _Stopped
        for name, process in self._components.items():
            if process.exitcode is not None:
                raise StackFailed(self._explain(name, process.exitcode))

    def _wait(self, done: Callable[[], bool], what: str, process: BaseProcess) -> None:
        limit = Limit(process.pid)
        while not done():
            self._check(timeout=0.05)
            if reason := limit.exceeded():
                log = self._home.log_of(process.name)
                raise StackFailed(f"{what} is not ready: {reason}; see {log}.")

    def _end(self, process: BaseProcess, what: str) -> None:
        """Wait until a process of the start has done its work."""
        self._wait(lambda: process.exitcode is not None, what, process)
        if process.exitcode:
            raise StackFailed(self._explain(process.name, process.exitcode))

    def _explain(self, name: str, code: int) -> str:
        log = self._home.log_of(name)
        ended = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        if (free := shutil.disk_usage(self._home.root).free) < MIN_FREE:
            return (
                f"{name} {ended}: the disk of {self._home.root} is full ({free >> 10} KiB free). Free disk "
                "space and start the stack again."
            )
        return "\n".join([f"{name} {ended}. The end of {log}:", *last_lines(log, 15)])

    def _stop(self, message: str) -> None:
        _on_signals(signal.SIG_IGN)
        self._home.reserve.unlink(missing_ok=True)
        with contextlib.suppress(FanfoldError):  # a full disk must not keep the processes running
            self._write(phase=Phase.STOPPING, message=message)
        servers = {self._state.processes.get(name) for name in ("s3", "simulator")}

        def everything() -> set[psutil.Process]:
            return of_stack(self._home.root) | set(psutil.Process().children(recursive=True))

        stop(lambda: {p for p in everything() if p.pid not in servers}, grace_s=AIRFLOW_GRACE_S)
        stop(everything, grace_s=SERVERS_GRACE_S)


def _answers(port: int, path: str) -> bool:
    try:
        _DIRECT.open(f"{settings.url(port)}{path}", timeout=30).close()
    except OSError:
        return False
    return True


def _on_signals(handler: Any) -> None:
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, handler)


def _raise_stopped(*_: object) -> None:
    _on_signals(signal.SIG_IGN)
    raise _Stopped


def main() -> int:
    """Run a supervisor: ``python -m fanfold.local.supervisor HOME OWNER PORT...``.

    OWNER is the process id of the program that the stack stops with, or 0: after it is ready, it
    outlives the program that started it.
    """
    folder, owner, *numbers = sys.argv[1:]
    home, ports = Home(Path(folder)), settings.Ports(*map(int, numbers))
    airflow, simulator, s3 = map(settings.url, (ports.airflow, ports.simulator, ports.s3))
    state = State(os.getpid(), int(owner) or None, airflow, simulator, s3, started_at=time.time())
    with home.lock.open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return LOCKED
        _on_signals(_raise_stopped)
        return Supervisor(home, state, ports).run()


if __name__ == "__main__":
    sys.exit(main())
